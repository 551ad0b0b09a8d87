package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// planTime is how long planning and beginning may take, unless --timeout says
// other: both nodes are asked.
const planTime = time.Minute

// migrateCommand is "nicferry migrate", and what "move-nic" shares with it.
type migrateCommand struct {
	*app
	request              nic.MoveRequest
	options              moveFlags
	format               string
	dryRun, detach       bool
	watch, resume, abort string
	limit                time.Duration // how long to wait for the end; 0 is for ever
	// before is the revision at which the move was asked to take another way: that it
	// is parked then is no news.
	before uint64
}

func (m *migrateCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate CONTAINER --to NODE",
		Short: "Move a container and its network cards to another node, or change nothing",
		Long: `Move a container and its network cards to another node, with the same MACs and
addresses. It is stopped on the one and started on the other; its image goes
along, and its volumes and what it has written where that is asked for. If a step
fails before the point of no return, all is put back; after it the move only goes
on. The controller does the work: it goes on if this command ends.

Everything that stands against a move is told at once, before anything is done.
With --dry-run nothing is: the plan is printed, with how long the container will
be unreachable, what is copied, and the risks.

Exit codes: 0 moved, 1 put back or parked, which needs you, 4 refused, 5 not over
within --timeout, without which it waits as long as it takes; others as everywhere.`,
		Example: `  nicferry migrate web --to vm2 --dry-run
  nicferry migrate web --to vm2
  nicferry migrate db --to vm2 --volumes copy --wait 60s
  nicferry migrate --abort mov-0123456789abcdef`,
		Args:              m.args,
		ValidArgsFunction: m.completeContainer,
		RunE:              m.run,
	}
	m.shared(cmd)
	flags := cmd.Flags()
	flags.StringVar(&m.request.To, "to", "", "the `node` to move it to")
	m.options.add(cmd)
	flags.StringVar(&m.resume, "resume", "", "have the parked move with this `id` go on, and follow it")
	flags.StringVar(&m.abort, "abort", "", "have the move with this `id` put everything back, and follow that")
	flags.StringVar(&m.watch, "watch", "", "only follow the move with this `id`")
	// Fails only for flags that do not exist.
	_ = cmd.RegisterFlagCompletionFunc("to", m.completeNodes)
	for _, flag := range []string{"resume", "abort", "watch"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, m.completeMoves)
	}
	return cmd
}

// shared adds what both commands have.
func (m *migrateCommand) shared(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&m.request.From, "from", "", "the `node` that it is on, where several have a container of that name")
	flags.BoolVar(&m.dryRun, "dry-run", false, "print the plan, and do nothing")
	flags.BoolVar(&m.detach, "detach", false, "begin it, print its id, and do not wait")
	flags.StringVarP(&m.format, "output", "o", "text", "the `format` of the plan, or of the move once it is over: text, json, yaml")
	// Fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("from", m.completeNodes)
}

// existing is the move that the flags name, if they do.
func (m *migrateCommand) existing() (flag, id string) {
	for _, f := range []struct{ flag, id string }{{"--resume", m.resume}, {"--abort", m.abort}, {"--watch", m.watch}} {
		if f.id != "" {
			return f.flag, f.id
		}
	}
	return "", ""
}

func (m *migrateCommand) args(cmd *cobra.Command, args []string) error {
	named := 0
	for _, flag := range []string{"resume", "abort", "watch"} {
		if cmd.Flags().Changed(flag) {
			named++
		}
	}
	switch {
	case named > 1:
		return usagef("want one of --resume, --abort and --watch")
	case named == 1 && (len(args) > 0 || m.request.To != "" || m.dryRun):
		return usagef("--resume, --abort and --watch name a move, and want nothing else")
	case named == 1:
		flag, text := m.existing()
		if _, err := nic.ParseMoveID(text); err != nil {
			return usagef("%s: %s", flag, err)
		}
		return nil
	case len(args) != 1 || args[0] == "":
		return usagef("want the name of one container, got %q", args)
	case m.request.To == "":
		return usagef("--to: want the node to move it to")
	}
	return nil
}

func (m *migrateCommand) run(cmd *cobra.Command, args []string) error {
	if err := m.prepare(cmd); err != nil {
		return err
	}
	if flag, id := m.existing(); flag != "" {
		return m.turn(cmd.Context(), flag, nic.MoveID(id))
	}
	m.request.Container, m.request.Kind = args[0], nic.MoveContainer
	m.request.Options = m.options.get()
	return m.move(cmd.Context())
}

// prepare reads what the flags have in common.
func (m *migrateCommand) prepare(cmd *cobra.Command) error {
	if err := checkFormat(m.format, "text"); err != nil {
		return err
	}
	if m.dryRun && m.detach {
		return usagef("--dry-run begins nothing to --detach from")
	}
	if cmd.Flags().Changed("timeout") {
		m.limit = m.timeout
	} else {
		m.timeout = planTime
	}
	return nil
}

// move plans, begins and follows a move.
func (m *migrateCommand) move(ctx context.Context) error {
	var plan nic.MovePlan
	err := m.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		plan, err = c.PlanMove(ctx, m.request)
		return err
	})
	if err != nil {
		return m.inWords(err)
	}
	if m.dryRun {
		if err := m.printPlan(plan); err != nil {
			return err
		}
		return stands(plan)
	}
	if err := stands(plan); err != nil {
		return err
	}
	m.tellPlan(plan)
	var begun nic.Move
	err = m.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		begun, err = c.BeginMove(ctx, m.request)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return &goesOn{why: ctx.Err()}
	case err != nil:
		return m.inWords(err)
	case m.detach:
		return m.printMove(begun, string(begun.ID))
	}
	return m.follow(ctx, begun.ID)
}

// turn has a move that is there already go on, back, or neither, and follows it.
func (m *migrateCommand) turn(ctx context.Context, flag string, id nic.MoveID) error {
	var turned nic.Move
	err := m.call(ctx, func(ctx context.Context, c *client.Client) error {
		before, err := c.Move(ctx, id)
		turned = before.Move
		switch {
		case err != nil:
			return err
		case flag == "--resume":
			turned, err = c.ResumeMove(ctx, id)
		case flag == "--abort":
			turned, err = c.AbortMove(ctx, id)
		default:
			return nil
		}
		m.before = before.Revision
		return err
	})
	switch {
	case err != nil:
		return err
	case m.detach:
		return m.printMove(turned, string(id))
	}
	return m.follow(ctx, id)
}

// inWords puts errors in the words of the command line.
func (m *migrateCommand) inWords(err error) error {
	err = asNotMoved(err, m.request)
	return asFlags(err, map[string]string{
		"body.container": "CONTAINER", "body.from": "--from", "body.to": "--to", "body.target": "--to", "body.kind": "kind",
		"body.options.volumes": "--volumes", "body.options.layer": "--layer", "body.options.wait": "--wait", "body.options.grace": "--grace",
	})
}

// moveFlags are the options of moves.
type moveFlags struct {
	volumes, layer   string
	wait, grace      time.Duration
	keep, checkpoint bool
}

func (f *moveFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.volumes, "volumes", string(nic.CopyRefuse), "what becomes of its volumes: refuse, copy or ignore, which leaves them behind")
	flags.StringVar(&f.layer, "layer", string(nic.CopyRefuse), "what becomes of what it has written beside them: refuse, copy or ignore")
	flags.DurationVar(&f.wait, "wait", 0, "put all back unless it is healthy there within this `time`; without a health check, unless it runs")
	flags.DurationVar(&f.grace, "grace", 0, "the `time` that it may take to stop; default is its own")
	flags.BoolVar(&f.keep, "keep", false, "leave the stopped container on the old node")
	flags.BoolVar(&f.checkpoint, "checkpoint", false, "carry its processes along with CRIU: refused so far, with the reason")
	for _, rule := range []string{"volumes", "layer"} {
		// Fails only for a flag that does not exist.
		_ = cmd.RegisterFlagCompletionFunc(rule, cobra.FixedCompletions([]string{"refuse", "copy", "ignore"}, cobra.ShellCompDirectiveNoFileComp))
	}
}

func (f *moveFlags) get() nic.MoveOptions {
	return nic.MoveOptions{
		Volumes: nic.CopyRule(f.volumes), Layer: nic.CopyRule(f.layer), Wait: nic.Duration(f.wait), Grace: nic.Duration(f.grace),
		Keep: f.keep, Checkpoint: f.checkpoint,
	}
}
