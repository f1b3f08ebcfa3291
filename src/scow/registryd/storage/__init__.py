"""Where the registry's bytes lie: `driver` says what every storage promises, one file for each kind beside it."""
