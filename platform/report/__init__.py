"""Views of a study: the HTML report, tables, plots and comparisons of trials."""
