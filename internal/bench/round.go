//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/retry"
)

// A tool is one way to attach a NIC that is made already.
type tool struct {
	name string
	// attach brings the NIC into the container as eth0 and addresses it. Its
	// time is what is measured.
	attach func(context.Context, *attachment) error
	// detach undoes it, leases and processes included. The NIC itself is
	// removed by the round. Optional.
	detach func(context.Context, *attachment) error
	bare   bool // it gives no address
	fixed  bool // it gives a fixed one, also where others ask for a lease
}

// An attachment is one run of one tool.
type attachment struct {
	w    *world
	c    *container
	nic  made
	want netip.Prefix // the fixed address; zero with DHCP
	undo func(context.Context) error
}

// pause lets the kernel finish what the last run left it to do: the death of a
// namespace holds the lock that every change of a link needs.
const pause = 50 * time.Millisecond

// rounds lets each tool do one run, over and over in a shuffled order, and records all of them.
func (w *world) rounds(ctx context.Context, file *figures.File, measure string, tools []tool, n int, end time.Time) error {
	for round := -1; round < n && time.Now().Before(end); round++ {
		// Nobody is always after the same: what one leaves for the kernel to do,
		// the next pays for. The same order in every run of the program.
		for _, i := range rand.New(rand.NewPCG(1, uint64(round+1))).Perm(len(tools)) {
			t := tools[i]
			making, took, err := w.run(ctx, t, measure)
			if ctx.Err() != nil {
				return fmt.Errorf("measure %s: %w", measure, ctx.Err())
			}
			if round < 0 {
				continue // the first of each finds cold caches
			}
			file.Add(measure, t.name, round, took.Microseconds(), "us", err)
			if making > 0 {
				file.Add("make", "nicferry", round, making.Microseconds(), "us", nil)
			}
		}
	}
	return nil
}

// run is one run: fresh container, fresh NIC, attach, look, take away, look.
func (w *world) run(ctx context.Context, t tool, measure string) (making, took time.Duration, err error) {
	c, err := newContainer()
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		c.end()
		_ = retry.Sleep(ctx, pause) // its end is seen by the caller
	}()
	a := &attachment{w: w, c: c, undo: func(context.Context) error { return nil }}
	begin := time.Now()
	if a.nic, err = w.make(ctx); err != nil {
		return 0, 0, err
	}
	making = time.Since(begin)
	if measure == static || t.fixed {
		w.fixed = w.fixed.Next()
		a.want = netip.PrefixFrom(w.fixed, bits)
	}
	if err = retry.Sleep(ctx, pause); err != nil {
		return 0, 0, err
	}
	begin = time.Now()
	err = t.attach(ctx, a)
	took = time.Since(begin)
	if err == nil {
		err = a.check(t)
	}
	if t.detach != nil {
		err = errors.Join(err, t.detach(ctx, a))
	}
	err = errors.Join(err, a.undo(ctx), w.maker.Remove(ctx, a.nic.id, a.nic.d, c.ns), a.clean())
	return making, took, err
}

// check demands what every tool promises: eth0 is up, has the address and the
// default route.
func (a *attachment) check(t tool) error {
	inside, err := link.Open(a.c.ns)
	if err != nil {
		return err
	}
	defer inside.Close()
	l, err := inside.ByName("eth0")
	if err != nil {
		return err
	}
	if !l.Up {
		return errors.New("eth0 is not up")
	}
	if t.bare {
		return nil
	}
	addrs, err := inside.Addrs(l)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(addrs, func(a2 link.Addr) bool {
		return a2.Prefix == a.want || !a.want.IsValid() && a2.Global && a2.Prefix.Addr().Is4()
	}) {
		return fmt.Errorf("eth0 has %v, want %s", addrs, a.want)
	}
	routes, err := inside.Routes(l)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(routes, func(r link.Route) bool { return r.To.Bits() == 0 && r.Via.String() == router }) {
		return fmt.Errorf("eth0 has no default route: %v", routes)
	}
	return nil
}

// clean demands that the NIC is nowhere.
func (a *attachment) clean() error {
	inside, err := link.Open(a.c.ns)
	if err != nil {
		return err
	}
	defer inside.Close()
	links, err := inside.Links()
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Name != "lo" {
			return fmt.Errorf("leak: %q is left in the container", l.Name)
		}
	}
	for _, name := range []string{a.nic.home(), a.nic.id.LinkName("nf")} {
		if _, err := a.w.links.ByName(name); !errors.Is(err, link.ErrNotFound) {
			return fmt.Errorf("leak: %q is left on the node (%w)", name, err)
		}
	}
	return nil
}
