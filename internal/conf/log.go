package conf

import (
	"fmt"
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

// With is l with what flags of the command line say; empty leaves it. The error
// names the flag.
func (l Log) With(level, format string) (Log, error) {
	for _, f := range []struct {
		flag, value string
		to          *string
		known       []string
	}{{"--log-level", level, &l.Level, logLevels()}, {"--log-format", format, &l.Format, logFormats()}} {
		if f.value == "" {
			continue
		}
		if !slices.Contains(f.known, f.value) {
			return l, fmt.Errorf("%s %s; %s", f.flag, quote(f.value), didYouMean(f.value, f.known))
		}
		*f.to = f.value
	}
	return l, nil
}

func logLevels() []string  { return []string{"debug", "info", "warn", "error"} }
func logFormats() []string { return []string{"auto", "text", "json"} }

func (d *doc) checkLog(l Log) {
	d.checkOneOf("log.level", l.Level, logLevels()...)
	d.checkOneOf("log.format", l.Format, logFormats()...)
}

func (d *doc) checkOneOf(path, value string, known ...string) {
	if !slices.Contains(known, value) {
		d.fault(path, "%s; %s", quote(value), didYouMean(value, known))
	}
}
