//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/lab/sim"
)

// simCommand is "nicferry-lab sim".
type simCommand struct {
	opts      sim.Options
	nodes     []int
	out       string
	output    string
	commit    string
	norestart bool
}

func (s *simCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Play fleets of up to 10,000 nodes in virtual time, with the real allocator",
		Long: `sim plays fleets in virtual time: the real allocator, agents that speak its API, and a cloud
with latency, token buckets and faults, all drawn from a seed. It tells what a container's life
costs, in calls of the provider, processor time and memory, how long containers wait for their
NICs, how that grows with the fleet, and what was left behind, and then starts a controller on
the records of each run's peak. The same seed gives the same digest. It needs no root. The
largest fleet takes hours of processor and more than 10 GiB; with --containers 2 it is
minutes, and 2 GiB.`,
		Example: `  nicferry-lab sim --nodes 100,1000 --out build/sim
  nicferry-lab sim --nodes 20 --containers 10 --plant      # must report what was planted, and fail`,
		Args: noArgs,
		RunE: s.run,
	}
	s.opts = sim.Default(0)
	f := cmd.Flags()
	f.IntSliceVar(&s.nodes, "nodes", []int{100, 1000, 10000}, "how many nodes, a run for each")
	f.IntVar(&s.opts.PerNode, "containers", s.opts.PerNode, "containers at a time on each node")
	f.Uint64Var(&s.opts.Seed, "seed", s.opts.Seed, "what all is drawn from")
	f.Float64Var(&s.opts.Churn, "churn", s.opts.Churn, "share of containers that are replaced")
	f.Float64Var(&s.opts.Faults, "faults", s.opts.Faults, "share of the cloud's calls that fail")
	f.DurationVar(&s.opts.Ramp, "ramp", s.opts.Ramp, "virtual time in which all containers are started, and at the end removed")
	f.DurationVar(&s.opts.Sweep, "sweep", s.opts.Sweep, "virtual time between two comparisons with the cloud, 0 for none")
	f.BoolVar(&s.opts.Plant, "plant", false, "have the cloud forget to delete a NIC, which must be reported")
	f.BoolVar(&s.norestart, "no-restart", false, "start no controller on the records of the peak")
	f.StringVar(&s.out, "out", "build/sim", "directory for sim.md, sim.html and sim.json")
	f.StringVarP(&s.output, "output", "o", "text", "what to print: text or json")
	f.StringVar(&s.commit, "commit", "", "the commit that the report names")
	return cmd
}

func (s *simCommand) run(cmd *cobra.Command, _ []string) error {
	switch {
	case s.output != "text" && s.output != "json":
		return daemon.UsageError{Err: fmt.Errorf("-o %s: want text or json", s.output)}
	case s.opts.PerNode < 1 || s.opts.Ramp <= 0 || s.opts.Churn < 0 || s.opts.Churn > 1 || s.opts.Faults < 0 || s.opts.Faults > 0.5:
		return daemon.UsageError{Err: errors.New("want at least one container, a ramp, a churn of 0 to 1 and faults of 0 to 0.5")}
	}
	report := sim.Report{Commit: s.commit, Where: sim.Where()}
	for _, n := range s.nodes {
		if n < 1 {
			return daemon.UsageError{Err: fmt.Errorf("--nodes %d: want at least one", n)}
		}
		sized, err := s.one(cmd.Context(), n, cmd.ErrOrStderr())
		if err != nil {
			return fmt.Errorf("play %d nodes: %w", n, err)
		}
		report.Sizes = append(report.Sizes, sized)
		if err := report.Write(s.out); err != nil {
			return err
		}
	}
	if s.output == "json" {
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), string(text))
	} else {
		fmt.Fprintln(cmd.OutOrStdout(), report.Markdown())
	}
	if left := report.Leaks(); len(left) > 0 {
		return fmt.Errorf("%d things are left or not as they must be, the first: %s", len(left), left[0])
	}
	return nil
}

// one plays one size, in processes of their own: one's memory is not the next one's.
func (s *simCommand) one(ctx context.Context, nodes int, progress io.Writer) (sized sim.Sized, err error) {
	dir, err := os.MkdirTemp("", "nicferry-sim-")
	if err != nil {
		return sized, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	opts := s.opts
	opts.Nodes = nodes
	if !s.norestart {
		opts.Dump = filepath.Join(dir, "peak.db")
	}
	fmt.Fprintf(progress, "%d nodes with %d containers each, seed %d\n", nodes, opts.PerNode, opts.Seed)
	if err := child(ctx, progress, "sim-play", opts, filepath.Join(dir, "result"), &sized.Result); err != nil || s.norestart {
		return sized, err
	}
	fmt.Fprintf(progress, "a controller starts with the records of the peak\n")
	err = child(ctx, progress, "sim-restart", opts, filepath.Join(dir, "restarted"), &sized.Restarted)
	return sized, err
}

// child runs a hidden command of this program, which writes its result to the file.
func child(ctx context.Context, progress io.Writer, name string, opts sim.Options, path string, result any) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := json.Marshal(opts)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, name, string(text), path)
	cmd.Stderr = progress
	if os.Getenv("GOGC") == "" {
		cmd.Env = append(os.Environ(), "GOGC="+sim.HeapGrowth)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if text, err = os.ReadFile(path); err != nil {
		return err
	}
	return json.Unmarshal(text, result)
}

// simChildren are what simCommand starts.
func simChildren() []*cobra.Command {
	of := func(name string, do func(ctx context.Context, opts sim.Options, path string) error) *cobra.Command {
		return &cobra.Command{Use: name + " OPTIONS FILE", Hidden: true, Args: cobra.ExactArgs(2), RunE: func(cmd *cobra.Command, args []string) error {
			var opts sim.Options
			if err := json.Unmarshal([]byte(args[0]), &opts); err != nil {
				return err
			}
			return do(cmd.Context(), opts, args[1])
		}}
	}
	return []*cobra.Command{
		of("sim-play", func(_ context.Context, opts sim.Options, path string) error {
			sim.PlayHere(opts, path)
			return nil
		}),
		of("sim-restart", func(ctx context.Context, opts sim.Options, path string) error {
			r, err := sim.Restart(ctx, opts.Dump)
			if err != nil {
				return err
			}
			text, err := json.Marshal(r)
			if err != nil {
				return err
			}
			return os.WriteFile(path, text, 0o644)
		}),
	}
}
