"""Evaluate checkpoints: selfalign eval checkpoints=RUN split=test."""

from selfalign.commands.first_line import first_line


def main() -> None:
    """The command."""
    first_line("eval")
    from selfalign.commands import gate, hydra_app
    from selfalign.commands.hydra_programs import evaluation

    gate.check_first(hydra_app.evaluation_settings)
    hydra_app.launch(evaluation, "eval")


if __name__ == "__main__":
    main()
