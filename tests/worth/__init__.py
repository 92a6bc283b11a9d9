"""What parts of the model are worth: trainings without them, or with others, for the tables of docs/model.md."""
