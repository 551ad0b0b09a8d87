//go:build linux

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/version"
)

// A benchReport is what each bench is told of its figures, and what it does with them.
type benchReport struct {
	from string // figures to compute it from again
}

// flags adds them, with the defaults of one bench: how many rounds, and what they are, and
// where to; parts are what it can measure.
func (b *benchReport) flags(cmd *cobra.Command, s *figures.Settings, rounds int, about, out string, parts []string) {
	cmd.Flags().IntVar(&s.Rounds, "rounds", rounds, about)
	cmd.Flags().StringVar(&s.Out, "out", out, "directory for the figures and reports")
	cmd.Flags().StringVar(&s.Commit, "commit", version.Get().Commit, "what is measured, for the reports")
	cmd.Flags().StringSliceVar(&s.Only, "only", nil, "measure these alone of "+strings.Join(parts, ", "))
	cmd.Flags().StringVar(&b.from, "from", "", "measure nothing, and compute the reports again from this file of figures")
}

// run has the bench measure and names its report, or tells of figures that are there.
func (b *benchReport) run(cmd *cobra.Command, s *figures.Settings, report string, measure func() error, tell func(figures.Machine) error) (err error) {
	if b.from != "" {
		m, err := figures.Look()
		return errors.Join(err, tell(m))
	}
	if s.Out, err = filepath.Abs(s.Out); err != nil {
		return err
	}
	s.Progress = cmd.ErrOrStderr()
	if err := measure(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(s.Out, report))
	return err
}
