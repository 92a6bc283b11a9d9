"""Simple published predictors that a model has to beat, one a module.

A floor is made of a log and the rows that it may learn from, `Popularity(log, rows)`, and then answers as any predictor
does (`models.evaluation.predictor`).
"""
