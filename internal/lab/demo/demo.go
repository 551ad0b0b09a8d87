//go:build linux

// Package demo shows nicferry's main job from end to end on one machine, each
// step with its time, and proves that nothing is left behind.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
)

// Options shape a run.
type Options struct {
	Bin  string    // required: the directory of nicferry's programs
	Out  io.Writer // required: where the story is told
	JSON string    // optional: a file for the figures
	// Plant leaves a veth behind, so that the check at the end can be seen to
	// fail.
	Plant bool
}

// Figures are what a run measured.
type Figures struct {
	Steps []Step                    `json:"steps"`
	Pings map[string]lab.PingResult `json:"pings"`
	Left  []string                  `json:"left"`
	// Seconds is the whole run's time.
	Seconds float64 `json:"seconds"`
}

// A Step is one line of the story.
type Step struct {
	What    string  `json:"what"`
	Seconds float64 `json:"seconds"`
	Result  string  `json:"result"`
}

// ErrLeft means that something was left behind.
var ErrLeft = errors.New("something was left behind")

// Run shows everything, cleans up whatever happens, and returns nil only if
// every step did what it promises and nothing was left.
func Run(ctx context.Context, opts Options) error {
	begin := time.Now()
	s := &story{opts: opts, figures: Figures{Pings: map[string]lab.PingResult{}, Left: []string{}}}
	err := s.tell(ctx)
	s.figures.Seconds = time.Since(begin).Seconds()
	if opts.JSON != "" {
		err = errors.Join(err, s.writeFigures())
	}
	if err == nil {
		fmt.Fprintf(opts.Out, "\nAll of it worked, and nothing was left behind. %.1f s in all.\n", s.figures.Seconds)
	}
	return err
}

// tell runs the scenes between two looks at the machine.
func (s *story) tell(ctx context.Context) (err error) {
	before, err := lab.Machine(ctx, "")
	if err != nil {
		return err
	}
	if err := s.onNode(ctx); err != nil {
		return err
	}
	// Every process of the node names the node's directory.
	after, err := lab.Machine(ctx, s.node.Dir())
	if err != nil {
		return err
	}
	return s.nothingLeft("the machine", lab.Diff(before, after))
}

func (s *story) onNode(ctx context.Context) (err error) {
	if err := s.setUp(ctx); err != nil {
		return errors.Join(err, s.tearDown())
	}
	defer func() { err = errors.Join(err, s.tearDown()) }()
	before, err := s.node.Snapshot(ctx)
	if err != nil {
		return err
	}
	if err := s.scenes(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted, everything is taken away again: %w", ctx.Err())
		}
		return errors.Join(err, s.logs())
	}
	if s.opts.Plant {
		if _, err := s.node.Run(ctx, "ip", "link", "add", "planted0", "type", "veth", "peer", "name", "planted1"); err != nil {
			return err
		}
	}
	left, err := s.node.Leftovers(ctx, before, 5*time.Second)
	if err != nil {
		return err
	}
	return s.nothingLeft("the node", left)
}

// scenes are the lines of the story, in order.
func (s *story) scenes(ctx context.Context) error {
	for _, scene := range []struct {
		what string
		play func(context.Context) (string, error)
	}{
		{"start nicferryd and nicferry-agent", s.startDaemons},
		{"docker run --network none --label nicferry.network=lab … web", s.byDHCP},
		{"docker run … --label nicferry.network=fixed --label nicferry.ip=10.77.1.20,fd77::20 … db", s.byLabel},
		{"docker run … --label nicferry.ip=10.77.1.20 … thief", s.refused},
		{"docker restart web", s.restart},
		{"kill -9 nicferry-agent and start it again, under ping -i 0.01", s.killAgent},
		{"kill -9 nicferryd and start it again, under ping -i 0.01", s.killController},
		{"docker rm -f web db thief", s.remove},
		{"stop nicferryd and nicferry-agent", s.stopDaemons},
	} {
		begin := time.Now()
		result, err := scene.play(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", scene.what, err)
		}
		s.line(scene.what, time.Since(begin), result)
	}
	return nil
}

func (s *story) line(what string, took time.Duration, result string) {
	s.figures.Steps = append(s.figures.Steps, Step{What: what, Seconds: took.Seconds(), Result: result})
	fmt.Fprintf(s.opts.Out, "%6.2f s  %s\n          → %s\n", took.Seconds(), what, result)
}

func (s *story) nothingLeft(where string, left []string) error {
	if len(left) == 0 {
		fmt.Fprintf(s.opts.Out, "          ✓ %s is as it was: links, addresses, routes, rules, bridge entries, namespaces, processes, containers\n", where)
		return nil
	}
	s.figures.Left = append(s.figures.Left, left...)
	for _, l := range left {
		fmt.Fprintf(s.opts.Out, "          ✗ %s: %s\n", where, l)
	}
	return fmt.Errorf("%s: %w", where, ErrLeft)
}

func (s *story) writeFigures() error {
	text, err := json.MarshalIndent(s.figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.opts.JSON, append(text, '\n'), 0o644)
}
