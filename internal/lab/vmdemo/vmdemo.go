//go:build linux

// Package vmdemo shows nicferry's main job on virtual machines: NICs that are
// plugged into running guests for their containers, and unplugged again, by
// libvirt or by an emulated cloud, and functions of a physical host's own cards.
package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/lab/promise"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/internal/virt"
)

// DefaultDir is where the demo's lab lives while it runs.
const DefaultDir = "/var/lib/nicferry-demo"

// Options shape a run.
type Options struct {
	story.Options
	// Dir is the lab's own directory, which is there only while the demo runs.
	// Optional: DefaultDir. See hyper.Options for what it may be.
	Dir string
	// Cloud has the guests be instances of an emulated cloud of this vendor, which the
	// controller speaks to as to the real one. With Plant an interface is left in it
	// too.
	Cloud *vendors.Vendor
	// Metal has one guest play a physical host, whose cards are cut into VFs; not with
	// Cloud.
	Metal bool
}

// The bounds of a run, each far above what it takes on two cores.
const (
	runTime  = 20 * time.Minute
	downTime = 90 * time.Second
	logsTime = 20 * time.Second
	patience = 3 * time.Minute  // for what takes a few seconds in a guest
	goTime   = 30 * time.Second // for the last of something to go
)

// What each guest has.
const (
	ports    = 4
	guestMiB = 1024
)

// Run shows everything, takes the lab down whatever happens, and returns nil
// only if every step did what it promises and nothing was left.
func Run(ctx context.Context, opts Options) error {
	if !virt.Built {
		return fmt.Errorf("%w in this program, which was built without it: run `make build` without LIBVIRT=0, "+
			"or see the demo without virtual machines: make demo-local", virt.ErrNoLibvirt)
	}
	if opts.Dir == "" {
		opts.Dir = DefaultDir
	}
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, fmt.Errorf("the demo has run for %s, which is far too long", runTime))
	defer cancel()
	s := &show{Story: story.New(opts.Options), dir: opts.Dir, vendor: opts.Cloud, ofMetal: opts.Metal}
	return s.Run(ctx, s.tell)
}

// tell runs the lab between two looks at the machine.
func (s *show) tell(ctx context.Context) error {
	if _, err := hyper.Find(s.dir, nil); !errors.Is(err, hyper.ErrNone) {
		if err == nil {
			err = hyper.ErrRuns
		}
		return fmt.Errorf("%w: another demo runs, or one was killed: 'nicferry-lab down --dir %s' ends it", err, s.dir)
	}
	before, err := s.machine(ctx)
	if err != nil {
		return err
	}
	// A planted leak is found in the lab; the machine is looked at all the same.
	labErr := s.inLab(ctx)
	if labErr != nil && !errors.Is(labErr, story.ErrLeft) {
		return labErr
	}
	left, err := lab.Leftovers(ctx, before, s.machine, goTime)
	if err == nil {
		err = s.NothingLeft("your machine", machineLooks, left)
	}
	return errors.Join(labErr, err)
}

// inLab brings the lab up, plays the scenes between two looks at it, and takes
// it down.
func (s *show) inLab(ctx context.Context) (err error) {
	down := false
	defer func() {
		if !down {
			_, downErr := s.takeDown(context.WithoutCancel(ctx))
			err = errors.Join(err, downErr)
		}
	}()
	what, scenes := "bring two virtual machines up, with dockerd and nicferry-agent in each", s.scenes()
	if s.vendor != nil {
		what, scenes = what+", on a cloud of their own", s.cloudScenes()
	}
	opening := []story.Scene{{What: what, Play: s.bringUp}}
	if s.ofMetal {
		opening, scenes = s.metalOpening(), s.metalScenes()
	}
	err = s.Play(ctx, opening...)
	if err == nil {
		s.before, err = s.settled(ctx)
	}
	if err == nil && s.vendor == nil { // whose NICs are none of ours to libvirt
		s.strangers, err = story.Until(ctx, "libvirtd to tell of the guests' NICs", patience, func() (map[string]string, bool, error) {
			all, err := promise.Strangers(ctx, s.lab)
			return all, err == nil, err
		})
	}
	if err == nil {
		err = s.Play(ctx, scenes...)
	}
	if err == nil {
		err = s.promises(ctx)
	}
	if err != nil {
		return s.explain(ctx, err)
	}
	fmt.Fprintln(s.Out, "          ✓ what must always hold of records, hypervisor and guests does, with containers and without")
	leftErr := s.compare(ctx)
	if s.vendor != nil {
		leftErr = errors.Join(leftErr, s.account(ctx))
	}
	if leftErr != nil && !errors.Is(leftErr, story.ErrLeft) {
		return s.explain(ctx, leftErr)
	}
	down = true
	return errors.Join(leftErr, s.Play(ctx, story.Scene{What: "take the lab down", Play: s.takeDown}))
}

// settled looks at the lab until nothing changes by itself: a libvirtd that has
// just been started runs QEMU now and then to see what it can do.
func (s *show) settled(ctx context.Context) (lab.Snapshot, error) {
	return story.Until(ctx, "the lab to come to rest", patience, func() (lab.Snapshot, bool, error) {
		first, err := s.look(ctx)
		if err != nil {
			return nil, false, err
		}
		second, err := s.look(ctx)
		diff := lab.Diff(first, second)
		if len(diff) > 0 {
			err = errors.Join(err, fmt.Errorf("it changes: %q", diff))
		}
		return second, err == nil, err
	})
}

// explain says what went wrong, with the ends of all logs unless it was ctrl-C.
func (s *show) explain(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return story.Interrupted(ctx)
	}
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	if s.lab == nil {
		return err // whose making explains itself
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logsTime)
	defer cancel()
	return errors.Join(err, s.lab.Tails(ctx))
}

// compare plants a leak, if asked to, and looks for what is left in the lab.
func (s *show) compare(ctx context.Context) error {
	if s.Plant {
		if err := s.lab.Nodes()[0].Command(ctx, story.Leak()...).Run(); err != nil {
			return err
		}
	}
	left, err := lab.Leftovers(ctx, s.before, s.look, goTime)
	if err != nil {
		return err
	}
	return s.NothingLeft("the lab", labLooks, left)
}

// scenes are the lines of the story, in order.
func (s *show) scenes() []story.Scene {
	return []story.Scene{
		{What: "vm1: docker create --network none --label nicferry.network=lab … web", Play: s.create},
		{What: "vm1: docker start web", Play: s.start},
		{What: "vm1: docker run … --label nicferry.network=fixed --label nicferry.ip=10.77.1.20,fd77::20 … db", Play: s.fixed},
		{What: "vm2: docker run … nicferry.network=lab … app, docker run … nicferry.ip=10.77.1.21,fd77::21 … cache", Play: s.onOther},
		{What: "ping across the virtual machines, and to the router", Play: s.across},
		{What: "kill -9 vm1's nicferry-agent and start it again, under ping -i 0.01 from outside", Play: s.killAgent},
		{What: "kill -9 nicferryd and start it again, under the same ping", Play: s.killController},
		{What: "kill -9 libvirtd and start it again, under the same ping", Play: s.killLibvirt},
		{What: "vm1: docker restart web", Play: s.restart},
		{What: "nicferry migrate web --to vm2 --layer copy, under ping -i 0.01 from outside", Play: s.moveThere},
		{What: "nicferry migrate web --to vm1 --layer copy, under the same ping", Play: s.moveBack},
		{What: "vm1, which has room for 4 NICs: docker create … a third, a fourth and a fifth", Play: s.tooMany},
		{What: "vm1: docker rm a third, which makes room for the fifth", Play: s.makeRoom},
		{What: "docker rm -f all of them", Play: s.remove},
		{What: fmt.Sprintf("vm1: %d times docker create with %d NICs, and docker rm", cycles, ports), Play: s.cycle},
	}
}
