package figures

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Settings are what the benches of a lab have in common.
type Settings struct {
	// Rounds is how often each rival has its turn. Optional: each bench has a
	// number of its own.
	Rounds int
	// Only are the parts to measure. Optional: all.
	Only []string
	// Out is the directory of the figures and reports. Required.
	Out string
	// Commit is what is measured. Optional: "unknown".
	Commit string
	// Progress is told of every measure as it begins. Optional.
	Progress io.Writer

	begin time.Time
}

// Complete checks the settings of a bench that begins now, and fills in what was
// left open; parts are the names of what it can measure.
func (s *Settings) Complete(rounds int, parts []string) error {
	if s.Out == "" {
		return errors.New("no directory for the figures")
	}
	if s.Rounds < 0 {
		return fmt.Errorf("%d rounds; want more than none", s.Rounds)
	}
	for _, name := range s.Only {
		if !slices.Contains(parts, name) {
			return fmt.Errorf("no part %q; there are %q", name, parts)
		}
	}
	if s.Rounds == 0 {
		s.Rounds = rounds
	}
	if s.Commit == "" {
		s.Commit = "unknown"
	}
	if s.Progress == nil {
		s.Progress = io.Discard
	}
	s.begin = time.Now()
	return nil
}

// Tell tells of a measure that begins.
func (s *Settings) Tell(format string, args ...any) {
	fmt.Fprintf(s.Progress, "%6.1fs  %s\n", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...))
}

// Take takes the measures of the parts that are wanted, one after the other.
func (s *Settings) Take(ctx context.Context, parts []string, measures ...func(context.Context) error) error {
	for i, name := range parts {
		if len(s.Only) > 0 && !slices.Contains(s.Only, name) {
			continue
		}
		if err := measures[i](ctx); err != nil {
			return err
		}
	}
	return nil
}
