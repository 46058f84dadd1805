"""Worked examples of the essays: pure, tested functions whose results chapters show inline. One module a chapter."""
