"""Evaluate checkpoints: selfalign eval checkpoints=[A.ckpt,B.ckpt] split=test."""

from selfalign.commands.first_line import first_line


def main() -> None:
    """The command."""
    first_line("eval")
    from selfalign.commands import hydra_app
    from selfalign.commands.hydra_programs import evaluation

    hydra_app.launch(evaluation)


if __name__ == "__main__":
    main()
