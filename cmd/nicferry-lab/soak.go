//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/lab/soak"
)

// soakCommand is "nicferry-lab soak".
type soakCommand struct {
	opts   soak.Options
	out    string
	commit string
}

func (s *soakCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Do harm to a controller and an agent again and again, and tell whether all stays flat",
		Long: `soak has containers come and go on a machine made of namespaces, with a real controller, agent
and Docker engine, and does something harmful every minute, drawn from a seed: daemons killed or
frozen, the engine killed, NICs set down by hand, the network cut, disks full or read-only. Each
time all has to come back, and nothing may be left of containers that were removed. Memory,
threads, open files, namespaces and records are sampled, and must be as many at the end as before.
It writes soak.md, soak.html and soak.json, and fails if something is not well. Nothing of yours
is touched.`,
		Example: `  nicferry-lab soak --for 30m --seed 1 --out build/soak
  nicferry-lab soak --for 60s --every 10s --plant fds      # must report what was planted, and fail`,
		Args: noArgs,
		RunE: s.run,
	}
	f := cmd.Flags()
	f.DurationVar(&s.opts.For, "for", 30*time.Minute, "how long; longer where a fault takes more than its time")
	f.DurationVar(&s.opts.Every, "every", time.Minute, "time from one fault to the next")
	f.Uint64Var(&s.opts.Seed, "seed", 1, "what all is drawn from")
	f.IntVar(&s.opts.AtOnce, "containers", 8, "containers at a time")
	f.StringVar(&s.opts.Bin, "bin", "", "where nicferry's programs are (default: beside this program)")
	f.StringVar(&s.out, "out", "build/soak", "directory for soak.md, soak.html and soak.json")
	f.StringVar(&s.commit, "commit", "", "the commit that the report names")
	f.StringSliceVar(&s.opts.Plant, "plant", nil, "leave something behind in each round, which must be reported: fds, netns")
	if err := f.MarkHidden("plant"); err != nil {
		panic(err) // there is no such flag
	}
	return cmd
}

func (s *soakCommand) run(cmd *cobra.Command, _ []string) error {
	if s.opts.For <= 0 || s.opts.Every <= 0 || s.opts.AtOnce < 1 {
		return daemon.UsageError{Err: errors.New("want a time to run, a time between faults, and at least one container")}
	}
	if err := needRoot(); err != nil {
		return err
	}
	var err error
	if s.opts.Bin, err = binDir(s.opts.Bin); err != nil {
		return err
	}
	s.opts.Progress = cmd.ErrOrStderr()
	report := soak.Report{
		Commit: s.commit, Where: soak.Where(),
		Command: fmt.Sprintf("nicferry-lab soak --for %s --every %s --seed %d --containers %d", s.opts.For, s.opts.Every, s.opts.Seed, s.opts.AtOnce),
	}
	if report.Result, err = soak.Run(cmd.Context(), s.opts); err != nil {
		return err
	}
	if err := report.Write(s.out); err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), report.Markdown())
	if failed := report.Failed(); len(failed) > 0 {
		return fmt.Errorf("%d things are not well, the first: %.1000s; see %s", len(failed), failed[0], s.out)
	}
	return nil
}
