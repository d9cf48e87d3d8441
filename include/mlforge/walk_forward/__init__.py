"""The walk through history: trained as of each week, scored on the week that follows, beside what is live."""
