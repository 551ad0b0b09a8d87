package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// drainLook is how often a drain is looked at.
const drainLook = 500 * time.Millisecond

// drainCommand is "nicferry drain".
type drainCommand struct {
	*app
	request      nic.DrainRequest
	options      moveFlags
	undo, detach bool
	format       string
	limit        time.Duration // how long to wait for the end; 0 is for ever
}

func (d *drainCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Move all containers that have network cards off a node",
		Long: `Move all containers that have network cards off a node, each as nicferry migrate
does, to the nodes of --to, or to any that are ready, by their free room. While it
is drained the node is no target of moves.

It stops at the first move that fails, whose container stays where it is, or goes on
with the others with --keep-going. A container whose move is refused before it
begins stays too, with the reasons, and stops nothing; as long as one stays the
drain is not done. The same command again goes on after that. The controller does the work: it goes on if this command ends. With --undo no
more moves are begun, and the node may be a target again; nothing is moved back.

Exit codes: 0 empty, 1 stopped, 5 not over within --timeout, without which it
waits as long as it takes; others as everywhere.`,
		Example: `  nicferry drain vm1
  nicferry drain vm1 --to vm2,vm3 --max-parallel 4 --volumes copy
  nicferry drain vm1 --undo`,
		Args:              oneName("the name of one node"),
		ValidArgsFunction: d.completeNodes,
		RunE:              d.run,
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&d.request.To, "to", nil, "the `nodes` that may take them, with commas; default is any that is ready")
	flags.IntVar(&d.request.MaxParallel, "max-parallel", 2, "how many `containers` move at once")
	flags.BoolVar(&d.request.KeepGoing, "keep-going", false, "go on with the others where a move fails")
	d.options.add(cmd)
	flags.BoolVar(&d.undo, "undo", false, "begin no more moves, and let the node take containers again")
	flags.BoolVar(&d.detach, "detach", false, "begin it, and do not wait")
	flags.StringVarP(&d.format, "output", "o", "text", "the `format` of the drain once it is over: text, json, yaml")
	// Fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("to", d.completeNodes)
	return cmd
}

func (d *drainCommand) run(cmd *cobra.Command, args []string) error {
	if err := checkFormat(d.format, "text"); err != nil {
		return err
	}
	if cmd.Flags().Changed("timeout") {
		d.limit = d.timeout
	}
	if d.request.MaxParallel < 1 {
		return usagef("--max-parallel %d: want one at least", d.request.MaxParallel)
	}
	d.request.Options = d.options.get()
	ctx, node := cmd.Context(), args[0]
	var drain nic.Drain
	err := d.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		if d.undo {
			drain, err = c.UndrainNode(ctx, node)
		} else {
			drain, err = c.DrainNode(ctx, node, d.request)
		}
		return err
	})
	switch {
	case err != nil:
		return asFlags(err, map[string]string{
			"body.to": "--to", "body.maxParallel": "--max-parallel", "body.options.volumes": "--volumes", "body.options.layer": "--layer",
			"body.options.wait": "--wait", "body.options.grace": "--grace",
		})
	case d.undo && d.format == "text":
		_, err := fmt.Fprintf(d.out, "%s is not drained any more; what moves already goes on.\n", oneLine(node))
		return err
	case d.undo || d.detach:
		return d.print(drain, nil)
	}
	return d.follow(ctx, node)
}

// follow shows how a drain goes until nothing more is done by itself.
func (d *drainCommand) follow(ctx context.Context, node string) error {
	c, err := d.open()
	if err != nil {
		return err
	}
	defer c.Close()
	waiting, cancel := within(ctx, d.limit)
	defer cancel()
	last, moves, err := d.watched(waiting, c, node)
	switch {
	case waiting.Err() != nil:
		return &drainGoesOn{node: node, why: waiting.Err()}
	case err != nil:
		return err
	}
	if err := d.print(last, moves); err != nil {
		return err
	}
	if last.Phase == nic.DrainStopped {
		return fmt.Errorf("%s is not empty: %s\nto go on once that is mended: the same command again\nto have it take containers again: nicferry drain %s --undo", oneLine(node), oneLine(last.Why), oneLine(node))
	}
	return nil
}

// watched looks again and again, and returns how it was last.
func (d *drainCommand) watched(ctx context.Context, c *client.Client, node string) (nic.Drain, []nic.Move, error) {
	table := &drainTable{out: d.err, live: d.live}
	defer table.clear()
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	broken := false
	for {
		drain, moves, err := drainNow(ctx, c, node)
		switch {
		case ctx.Err() != nil:
			return drain, moves, ctx.Err()
		case errors.Is(err, client.ErrUnreachable) || api.CodeOf(err) == api.CodeUnavailable:
			if !broken {
				table.clear()
				fmt.Fprintln(d.err, "nicferry: connection lost, trying again; the drain goes on:", oneLine(err.Error()))
			}
			broken = true
		case err != nil:
			return drain, moves, err
		default:
			broken = false
			table.show(drain, moves)
			if drain.Phase.Over() {
				return drain, moves, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// drainNow asks for the node's drain and for the moves that are known.
func drainNow(ctx context.Context, c *client.Client, node string) (nic.Drain, []nic.Move, error) {
	drains, err := c.Drains(ctx)
	if err != nil {
		return nic.Drain{}, nil, err
	}
	at := slices.IndexFunc(drains, func(d nic.Drain) bool { return d.Node == node })
	if at < 0 {
		return nic.Drain{}, nil, &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf("somebody has taken the draining of %s back", oneLine(node))}
	}
	moves, err := c.Moves(ctx)
	return drains[at], moves, err
}

// print prints what became of a drain.
func (d *drainCommand) print(drain nic.Drain, moves []nic.Move) error {
	if d.format != "text" {
		return encode(d.out, d.format, drain)
	}
	if len(drain.Containers) > 0 {
		if err := drainRows(d.out, drain, moves); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("%s is %s.", drain.Node, drain.Phase)
	if drain.Phase == nic.DrainStopped {
		text = fmt.Sprintf("The draining of %s has stopped.", drain.Node)
	}
	_, err := fmt.Fprintln(d.out, oneLine(text))
	return err
}

// drainRows writes a line for each container.
func drainRows(out io.Writer, drain nic.Drain, moves []nic.Move) error {
	w := newTable(out)
	fmt.Fprintln(w, "CONTAINER\tTO\tSTATE\tSTEP\tSILENCE\tMOVE\tWHY")
	for _, c := range drain.Containers {
		var m move
		if at := slices.IndexFunc(moves, func(m nic.Move) bool { return m.ID == c.Move }); at >= 0 {
			m = newMove(moves[at])
		}
		state, why := string(c.State), c.Why
		if state == "" {
			state = "waiting"
		}
		if len(c.Refusals) > 0 {
			state, why = "refused", strings.ReplaceAll(nic.MoveRefusals(c.Refusals).Error(), "\n", "; ")
		}
		cells := []string{c.Container, c.To, state, m.at(), silent(m.Move), string(c.Move), why}
		for i, cell := range cells {
			cells[i] = orDash(oneLine(cell))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// drainTable shows a drain that goes on: on a terminal as a table that is written
// anew, else a line whenever a container's state is another.
type drainTable struct {
	out   io.Writer
	live  bool
	lines int
	told  map[string]nic.DrainedContainer
}

func (t *drainTable) show(drain nic.Drain, moves []nic.Move) {
	if t.live {
		var b bytes.Buffer
		// Writing to a buffer does not fail.
		_ = drainRows(&b, drain, moves)
		t.clear()
		for line := range strings.Lines(b.String()) {
			fmt.Fprintf(t.out, "%.*s\n", lineWidth, strings.TrimRight(line, "\n "))
			t.lines++
		}
		return
	}
	if t.told == nil {
		t.told = map[string]nic.DrainedContainer{}
	}
	for _, c := range drain.Containers {
		before, seen := t.told[c.Container]
		if seen && before.State == c.State && before.Move == c.Move && len(before.Refusals) == len(c.Refusals) {
			continue
		}
		t.told[c.Container] = c
		switch {
		case len(c.Refusals) > 0:
			t.line("%s: refused: %s", c.Container, strings.ReplaceAll(nic.MoveRefusals(c.Refusals).Error(), "\n", "; "))
		case c.State == nic.MoveForward:
			t.line("%s → %s: %s", c.Container, c.To, c.Move)
		case c.State != "":
			t.line("%s → %s: %s %s", c.Container, c.To, c.State, c.Why)
		}
	}
}

func (t *drainTable) line(format string, args ...any) {
	fmt.Fprintln(t.out, oneLine(fmt.Sprintf(format, args...)))
}

// clear takes the table away that is written anew.
func (t *drainTable) clear() {
	if t.lines > 0 {
		fmt.Fprintf(t.out, "\x1b[%dA\x1b[J", t.lines)
		t.lines = 0
	}
}

// drainGoesOn ends a command whose drain does not end with it.
type drainGoesOn struct {
	node string
	why  error
}

func (e *drainGoesOn) Error() string {
	return fmt.Sprintf("the draining of %[1]s goes on without this command\nto watch it: nicferry drain %[1]s\nto begin no more moves: nicferry drain %[1]s --undo", oneLine(e.node))
}

// Unwrap is why, for the exit code.
func (e *drainGoesOn) Unwrap() error { return e.why }
