//go:build linux

package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/internal/virt"
)

// ErrMissing means that a line of a checklist does not hold.
var ErrMissing = errors.New("not all of the checklist holds")

// A line is one of a checklist: what a published system does, the command that
// shows that ours does, and what it shows.
type line struct {
	id, what, command string
	look              func(context.Context) (string, error)
}

// S0 goes through the checklist of a published system that gives containers bonds of
// VFs, on a physical host that a guest plays, and prints a line for each. It takes the
// lab down whatever happens. The error is ErrMissing where a line does not hold. Of the
// options Plant, JSON and Cloud are not used.
func S0(ctx context.Context, opts Options) error {
	return goThrough(ctx, opts, &show{ofMetal: true}, (*show).lines)
}

// S1 is the same for one that plugs NICs of a cloud into its virtual machines for their
// containers: the guests are instances of an emulated ECS.
func S1(ctx context.Context, opts Options) error {
	s := &show{vendor: new(vendors.ECS()), platform: true}
	return goThrough(ctx, opts, s, (*show).linesOfCloud)
}

// goThrough plays a checklist on a lab of its own.
func goThrough(ctx context.Context, opts Options, s *show, lines func(*show) []line) error {
	if !virt.Built {
		return fmt.Errorf("%w in this program, which was built without it: run `make build` without LIBVIRT=0", virt.ErrNoLibvirt)
	}
	if opts.Dir == "" {
		opts.Dir = DefaultDir
	}
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, fmt.Errorf("the checklist has run for %s, which is far too long", runTime))
	defer cancel()
	s.Story, s.dir = story.New(opts.Options), opts.Dir
	if _, err := hyper.Find(s.dir, nil); !errors.Is(err, hyper.ErrNone) {
		return errors.Join(err, fmt.Errorf("%w: 'nicferry-lab down --dir %s' ends it", hyper.ErrRuns, s.dir))
	}
	_, err := s.bringUp(ctx)
	if err == nil {
		err = s.checklist(ctx, lines(s))
	}
	if err != nil && !errors.Is(err, ErrMissing) {
		err = s.explain(ctx, err)
	}
	_, downErr := s.takeDown(context.WithoutCancel(ctx))
	return errors.Join(err, downErr)
}

// checklist looks at each line, also after one that does not hold.
func (s *show) checklist(ctx context.Context, lines []line) error {
	missing := 0
	for _, l := range lines {
		result, err := l.look(ctx)
		verdict := "ok"
		if err != nil {
			verdict, result = "FAIL", err.Error()
			missing++
		}
		fmt.Fprintf(s.Out, "%-5s %-4s %s: %s   $ %s\n", l.id, verdict, l.what, oneLine(result), l.command)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if missing > 0 {
		explainTo(s.Progress, s.lab.Tails(ctx))
		return fmt.Errorf("%w: %d of %d lines", ErrMissing, missing, len(lines))
	}
	return nil
}

func explainTo(out io.Writer, err error) {
	if out != nil {
		fmt.Fprintln(out, err)
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
