"""Train a model: selfalign train backbone=camera data=coco."""

from selfalign.commands.first_line import first_line


def main() -> None:
    """The command."""
    first_line("train")
    from selfalign.commands import gate, hydra_app
    from selfalign.commands.hydra_programs import training

    gate.check_first(hydra_app.training_settings)
    gate.check_first(hydra_app.require_data_files)
    if hydra_app.asks_to_resume():
        hydra_app.launch(hydra_app.resume)
    else:
        hydra_app.launch(training, "train")


if __name__ == "__main__":
    main()
