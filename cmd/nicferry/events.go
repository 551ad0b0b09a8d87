package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
)

// eventsCommand is "nicferry events".
type eventsCommand struct {
	*app
	follow bool
	format string
	wanted eventFilter
}

// before is how many events of before "events -f" shows, without --since.
const before = 20

func (c *eventsCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List what has happened, and follow what happens",
		Long: `List what has happened, oldest first: what became of claims, NICs and nodes, what
was refused, and what providers and the store had trouble with. What happens
again within 10 minutes is one event, with a count. The controller remembers the
last 10,000, until it ends.

With -f it shows the last 20, or those since --since, and goes on with what
happens until Ctrl-C. It connects again by itself and says on stderr what it may
have missed. JSON is one object on each line then.`,
		Example: `  nicferry events
  nicferry events -f --claim web
  nicferry events --warnings --since 10m
  nicferry events -f -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("want no arguments, got %q; did you mean --claim %s?", args, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&c.follow, "follow", "f", false, "go on with what happens")
	flags.StringVar(&c.wanted.claim, "claim", "", "only those of this claim, by its `id` or its container's name")
	flags.StringVar(&c.wanted.node, "node", "", "only those of this `node`")
	flags.BoolVar(&c.wanted.warnings, "warnings", false, "only those that somebody may have to act upon")
	flags.DurationVar(&c.wanted.since, "since", 0, "only those of the last `time`, such as 10m")
	flags.StringVarP(&c.format, "output", "o", "table", "the `format`: table, json")
	return cmd
}

func (c *eventsCommand) run(ctx context.Context) error {
	if c.format != "table" && c.format != "json" {
		return usagef("--output %q: want one of table, json", c.format)
	}
	if c.wanted.since < 0 {
		return usagef("--since %s: want the time that has passed, such as 10m", c.wanted.since)
	}
	var known api.Events
	err := c.call(ctx, func(ctx context.Context, client *client.Client) (err error) {
		known, err = client.Events(ctx, "", 0)
		return err
	})
	if err != nil {
		return err
	}
	c.wanted.now = c.now()
	known.Items = c.wanted.of(known.Items)
	if !c.follow {
		return c.list(known)
	}
	c.wanted.since = 0 // what comes is new
	return c.goOn(ctx, known)
}

func (c *eventsCommand) list(known api.Events) error {
	if c.format == "json" {
		return encode(c.out, c.format, known)
	}
	if len(known.Items) == 0 {
		fmt.Fprintln(c.err, "No events.")
		return nil
	}
	w := newTable(c.out)
	fmt.Fprintln(w, "TIME\tTYPE\tREASON\tABOUT\tMESSAGE")
	for _, e := range known.Items {
		fmt.Fprintln(w, strings.Join(eventCells(e), "\t"))
	}
	return w.Flush()
}

// goOn writes what is known and then what happens, until ctx ends, which is the
// way to end it.
func (c *eventsCommand) goOn(ctx context.Context, known api.Events) error {
	if c.wanted.since == 0 && len(known.Items) > before {
		known.Items = known.Items[len(known.Items)-before:]
	}
	user := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tell := func(e api.Event) {
		if err := c.line(e); err != nil {
			cancel(fmt.Errorf("write: %w", err))
		}
	}
	for _, e := range known.Items {
		tell(e)
	}
	conn, err := c.open()
	if err != nil {
		return err
	}
	defer conn.Close()
	note := func(format string, args ...any) {
		fmt.Fprintln(c.err, "nicferry:", oneLine(fmt.Sprintf(format, args...)))
	}
	err = conn.FollowEvents(ctx, known.Stream, known.Last, client.EventReader{
		Event: func(e api.Event) {
			if c.wanted.takes(e) {
				tell(e)
			}
		},
		Missed:    func(most uint64) { note("up to %d events were missed", most) },
		Restarted: func() { note("the controller has started anew; what it had not told before that is lost") },
		Broke:     func(err error) { note("connection lost, trying again: %s", err) },
		Again:     func() { note("connected again") },
	})
	switch {
	case user.Err() != nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// line writes an event by itself, at once.
func (c *eventsCommand) line(e api.Event) error {
	if c.format == "json" {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.out, cleanEncoded(string(text), jsonEscape))
		return err
	}
	cells := eventCells(e)
	_, err := fmt.Fprintf(c.out, "%s  %-7s  %-18s  %-24s  %s\n", cells[0], cells[1], cells[2], cells[3], cells[4])
	return err
}

// eventCells are an event's columns. All that others wrote is cleaned.
func eventCells(e api.Event) []string {
	message := oneLine(e.Message)
	if e.Count > 1 {
		message += fmt.Sprintf(" (%d times since %s)", e.Count, e.First.UTC().Format(time.RFC3339))
	}
	return []string{e.At.UTC().Format(time.RFC3339), oneLine(string(e.Type)), oneLine(string(e.Reason)), orDash(oneLine(eventAbout(e))), message}
}

// eventAbout names what an event is about as people know it.
func eventAbout(e api.Event) string {
	what := ""
	switch {
	case e.Container != "":
		what = e.Container
	case e.Claim != "":
		what = string(e.Claim)
	case e.NIC != "":
		what = string(e.NIC)
	case e.Move != "":
		what = string(e.Move)
	}
	switch {
	case e.Node == "":
		return what
	case what == "":
		return "node " + e.Node
	}
	return what + " on " + e.Node
}

// An eventFilter says which events are wanted.
type eventFilter struct {
	claim, node string
	warnings    bool
	since       time.Duration
	now         time.Time
	// claims are those of the container that is asked for: not every event of a
	// claim says its container.
	claims map[string]bool
}

func (f *eventFilter) of(all []api.Event) []api.Event {
	wanted := []api.Event{}
	for _, e := range all {
		if f.takes(e) {
			wanted = append(wanted, e)
		}
	}
	return wanted
}

func (f *eventFilter) takes(e api.Event) bool {
	if f.claim != "" && e.Container == f.claim && e.Claim != "" {
		if f.claims == nil {
			f.claims = map[string]bool{}
		}
		f.claims[string(e.Claim)] = true
	}
	switch {
	case f.claim != "" && e.Container != f.claim && string(e.Claim) != f.claim && string(e.NIC) != f.claim && !f.claims[string(e.Claim)]:
		return false
	case f.node != "" && e.Node != f.node, f.warnings && e.Type != api.EventWarning:
		return false
	}
	return f.since == 0 || f.now.Sub(e.At) <= f.since
}
