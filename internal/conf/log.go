package conf

import (
	"log/slog"
	"slices"
)

// Log says what a daemon logs, and how.
type Log struct {
	Level string `yaml:"level"` // debug, info, warn or error
	// Format is text, json, or auto: text on a terminal, else json.
	Format string `yaml:"format"`
}

// SlogLevel is the level in the words of log/slog.
func (l Log) SlogLevel() slog.Level {
	switch l.Level {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

func (d *doc) checkLog(l Log) {
	d.checkOneOf("log.level", l.Level, "debug", "info", "warn", "error")
	d.checkOneOf("log.format", l.Format, "auto", "text", "json")
}

func (d *doc) checkOneOf(path, value string, known ...string) {
	if !slices.Contains(known, value) {
		d.fault(path, "%s; %s", quote(value), didYouMean(value, known))
	}
}
