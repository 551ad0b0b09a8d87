package libvirt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/libvirt"
)

// A moment is when a call of the hypervisor is struck.
type moment string

const (
	before  moment = "before the effect"
	halfway moment = "after half of it" // one of a domain's two definitions
	after   moment = "after the effect"
	noReply moment = "no reply" // after the effect; the call hangs until its time is over
)

// A cell is one place of the fault table: which calls of which op end how.
type cell struct {
	op   string
	kind error // with noReply: none
	when moment
	nth  int32 // the first call of the op that is struck, from 1
	runs int32 // how many in a row
}

func (c cell) String() string {
	if c.when == noReply {
		return c.op + ", " + string(noReply)
	}
	return fmt.Sprintf("%s, %s %s", c.op, c.kind, c.when)
}

// virtKinds are all that the hypervisor's errors can be, and one of no kind.
var virtKinds = []error{
	virt.ErrNoLibvirt, virt.ErrUnreachable, virt.ErrNoDomain, virt.ErrNoInterface, virt.ErrBusy, virt.ErrNoSlot, virt.ErrNotRunning,
	virt.ErrTaken, virt.ErrDenied, virt.ErrInvalid, virt.ErrUnsupported, virt.ErrInconclusive, virt.ErrRefused, errors.New("of no kind"),
}

// faultTable is each op with each end that it can come to.
func faultTable() []cell {
	var all []cell
	for _, op := range []string{opDomain, opDomains, opPlug, opUnplug} {
		whens := []moment{before} // there is no more to a look
		if op == opPlug || op == opUnplug {
			whens = append(whens, halfway, after)
		}
		for _, when := range whens {
			for _, kind := range virtKinds {
				all = append(all, cell{op: op, kind: kind, when: when})
			}
		}
		all = append(all, cell{op: op, when: noReply})
	}
	return all
}

// A struckHyper is a hypervisor some of whose calls end as the cell says.
type struckHyper struct {
	*hyper
	cell
	calls, struck atomic.Int32
}

func (s *struckHyper) strike(ctx context.Context, op string, half, whole func() error) error {
	if s.op != op {
		return whole()
	}
	n := s.calls.Add(1)
	if n < s.nth || n >= s.nth+s.runs {
		return whole()
	}
	s.struck.Add(1)
	switch s.when {
	case before:
		return fmt.Errorf("%s: %w", op, s.kind)
	case halfway:
		if err := half(); err != nil {
			return err
		}
		return fmt.Errorf("%s: %w", op, s.kind)
	}
	if err := whole(); err != nil {
		return err
	}
	if s.when == noReply {
		<-ctx.Done()
		return ctx.Err()
	}
	return fmt.Errorf("%s: %w", op, s.kind)
}

func (s *struckHyper) Domain(ctx context.Context, id string) (d virt.Domain, err error) {
	look := func() error { d, err = s.hyper.Domain(ctx, id); return err }
	if err := s.strike(ctx, opDomain, look, look); err != nil {
		return virt.Domain{}, err
	}
	return d, nil
}

func (s *struckHyper) Domains(ctx context.Context) (all []virt.Domain, err error) {
	look := func() error { all, err = s.hyper.Domains(ctx); return err }
	if err := s.strike(ctx, opDomains, look, look); err != nil {
		return nil, err
	}
	return all, nil
}

func (s *struckHyper) Plug(ctx context.Context, id string, i virt.Interface) error {
	whole := func() error { return s.hyper.Plug(ctx, id, i) }
	return s.strike(ctx, opPlug, func() error { // the stored definition is as it was
		d, err := s.hyper.Domain(ctx, id)
		if err == nil {
			err = whole()
		}
		if err == nil {
			s.hand(id, func(now *domain) { now.Stored = d.Stored })
		}
		return err
	}, whole)
}

func (s *struckHyper) Unplug(ctx context.Context, id string, i virt.Interface) error {
	return s.strike(ctx, opUnplug, func() error { // and the guest is not asked
		s.hand(id, func(d *domain) {
			d.Stored = slices.DeleteFunc(d.Stored, func(c virt.Interface) bool { return c.Alias == i.Alias })
		})
		return nil
	}, func() error { return s.hyper.Unplug(ctx, id, i) })
}

// TestF02_FaultTable leads a NIC through two domains and away while one call
// of the hypervisor, or three in a row, end in each way that they can: before
// or after the effect or half of it, with each kind of error, or without any
// reply. Whoever repeats what was to be done, or gives up and takes the NIC
// away, gets there. The NIC is never in two domains nor twice in one, is never
// said to be gone while it is not, and leaves nothing.
//
// Of these ends, a real libvirtd can be brought to some. They are shown by
// internal/virt's TestConnectionComesBackWhenLibvirtIsKilled (no answer to
// what may have taken place), TestCallsEndWhenLibvirtHangs (no reply),
// TestWhatQEMURefuses (no slot, taken, refused), TestUnplugIsAskedForAgain
// (busy) and TestHalvesAreMended (half of it); and under containers by e2e/vm's
// TestF28_LibvirtdKilledAfterARequest, TestF28_LibvirtdKilledUnderTheController,
// TestF26_ControllerKilledInADetach, TestF29_DestroyedAtEveryStep,
// TestF27_NativeIsReportedAndNotHammered and TestF23_FourPortsSixContainers.
func TestF02_FaultTable(t *testing.T) {
	modes := []virt.HotplugMode{virt.ACPI}
	if os.Getenv("NICFERRY_LONG") != "" {
		modes = append(modes, virt.Native)
	}
	lives, calls, givenUp := 0, 0, 0
	for _, mode := range modes {
		for _, c := range faultTable() {
			t.Run(string(mode)+", "+c.String(), func(t *testing.T) {
				was := calls
				for _, c.runs = range []int32{1, 3} {
					for c.nth = 1; ; c.nth += c.runs {
						struck, gaveUp, err := liveStruck(t, mode, c)
						if err != nil {
							t.Fatalf("struck from call %d, %d in a row: %v", c.nth, c.runs, err)
						}
						if lives += 2; struck == 0 {
							break // there are no more such calls
						}
						calls += struck
						givenUp += gaveUp
					}
				}
				if calls == was {
					t.Error("no call was struck: the cell shows nothing")
				}
			})
		}
	}
	text := fmt.Sprintf("fault table of libvirt's calls: %d cells, %d lives, %d calls struck, given up on %d times", len(modes)*len(faultTable()), lives, calls, givenUp)
	t.Attr("counts", text)
	t.Log(text)
}

// liveStruck lives both lives: of one who repeats and of one who gives up. It
// says how many calls were struck, and how many of the second life's were
// given up on.
func liveStruck(t *testing.T, mode virt.HotplugMode, c cell) (struck, gaveUp int, err error) {
	for _, givesUp := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newStruckLife(t, mode, c)
			if givesUp {
				var lost bool
				if lost, err = l.orGiveUp(); lost {
					gaveUp++
				}
			} else {
				err = l.repeat()
			}
			struck += int(l.struck.struck.Load())
		})
		if err != nil {
			return struck, gaveUp, fmt.Errorf("who gives up (%t): %w", givesUp, err)
		}
	}
	return struck, gaveUp, nil
}

// A struckLife is that of one NIC.
type struckLife struct {
	*hands
	struck *struckHyper
	free   int // slots of vm1 before
}

func newStruckLife(t *testing.T, mode virt.HotplugMode, c cell) *struckLife {
	h := newHands(t, mode)
	limits, err := h.p.Limits(t.Context(), vm1.Instance)
	if err != nil {
		t.Fatal(err)
	}
	l := &struckLife{hands: h, struck: &struckHyper{hyper: h.hyper, cell: c}, free: limits.Free}
	h.p, err = libvirt.New(libvirt.Options{
		Name: "lab", Ledger: h.ledger,
		Open: func(context.Context) (libvirt.Hypervisor, error) { return l.struck, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// repeat repeats each verb until it is done, whatever it is told.
func (l *struckLife) repeat() error {
	for _, at := range []nic.Place{vm1, vm2} {
		if err := l.drive(nic.StateAttached, at, func(ctx context.Context) error { return l.attachAt(ctx, at) }, nil); err != nil {
			return fmt.Errorf("attach to %s: %w", at.Instance, err)
		}
		err := l.drive(nic.StateAvailable, nic.Place{}, func(ctx context.Context) error { return l.p.Detach(ctx, l.id, at.Instance) }, nil)
		if err != nil {
			return fmt.Errorf("detach from %s: %w", at.Instance, err)
		}
	}
	return l.erase()
}

// orGiveUp takes the NIC away when it is told that it can never be plugged in,
// and goes on with another, as the allocator does.
func (l *struckLife) orGiveUp() (lost bool, err error) {
	errGivenUp := errors.New("given up")
	hopeless := func(err error) error {
		for _, kind := range []error{provider.ErrInvalid, provider.ErrDenied, provider.ErrUnsupported, provider.ErrExhausted} {
			if errors.Is(err, kind) {
				return errGivenUp
			}
		}
		return nil
	}
	for {
		err := l.drive(nic.StateAttached, vm1, func(ctx context.Context) error { return l.attachAt(ctx, vm1) }, hopeless)
		if err != nil && !errors.Is(err, errGivenUp) {
			return lost, err
		}
		if goneErr := l.erase(); goneErr != nil || err == nil {
			return lost, goneErr
		}
		lost = true
		l.id = nic.NewID()
		l.spec = newSpec(l.id)
		if _, err := l.p.Create(l.t.Context(), l.spec); err != nil {
			return lost, err
		}
	}
}

func (l *struckLife) attachAt(ctx context.Context, at nic.Place) error {
	_, err := l.p.Attach(ctx, l.id, at)
	return err
}

// drive repeats a verb until the NIC is as wanted, or stop says why to end.
func (l *struckLife) drive(want nic.State, at nic.Place, verb func(context.Context) error, stop func(error) error) error {
	var last error
	for range 600 {
		err := l.call(verb)
		if err == nil || !errors.Is(err, provider.ErrBusy) {
			last = err
		}
		if _, typed := errors.AsType[*provider.Error](err); err != nil && !typed {
			return fmt.Errorf("an error of no kind: %w", err)
		}
		if err := l.once(); err != nil {
			return err
		}
		if err != nil && stop != nil {
			if why := stop(err); why != nil {
				return why
			}
		}
		switch seen, said, err := l.look(); {
		case err != nil:
			return err
		case said && seen.State == want && seen.Place == at:
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("never %s; the last error was %w", want, last)
}

// call calls with a deadline, as the allocator does.
func (l *struckLife) call(verb func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(l.t.Context(), l.p.Info().WorstCall)
	defer cancel()
	return verb(ctx)
}

// look says how the NIC is, unless that could not be asked. One that an answer
// lacks, or has twice, is lost or doubled.
func (l *struckLife) look() (seen nic.Seen, said bool, err error) {
	var got map[nic.ID]nic.Seen
	var list []nic.Seen
	if err := l.call(func(ctx context.Context) (err error) { list, err = l.p.List(ctx); return err }); err == nil && (len(list) != 1 || list[0].NIC != l.id) {
		return seen, false, fmt.Errorf("List: %+v, want %s alone", list, l.id)
	}
	if err := l.call(func(ctx context.Context) (err error) { got, err = l.p.Get(ctx, l.id); return err }); err != nil {
		return seen, false, nil
	}
	seen, there := got[l.id]
	if !there || seen.State == nic.StateFailed {
		return seen, false, fmt.Errorf("Get: %+v, want %s, and not failed", got, l.id)
	}
	return seen, true, nil
}

// once demands that the NIC is in one domain at most, and there but once.
func (l *struckLife) once() error {
	in := 0
	for _, name := range []string{"vm1", "vm2"} {
		live, stored := 0, 0
		ours := func(c virt.Interface) bool { return c.Alias == "ua-nicferry-"+string(l.id) || c.MAC == l.spec.MAC }
		l.hand(name, func(d *domain) {
			live, stored = count(d.Live, ours), count(d.Stored, ours)
		})
		if live > 1 || stored > 1 {
			return fmt.Errorf("%s has the NIC %d times live and %d times stored", name, live, stored)
		}
		in += max(live, stored)
	}
	if in > 1 {
		return errors.New("the NIC is in two domains")
	}
	return nil
}

func count(cards []virt.Interface, is func(virt.Interface) bool) (n int) {
	for _, c := range cards {
		if is(c) {
			n++
		}
	}
	return n
}

// erase unplugs and deletes the NIC, and demands that nothing is left of it.
func (l *struckLife) erase() error {
	var err error
	for range 600 {
		if err = l.call(func(ctx context.Context) error { return l.p.Delete(ctx, l.id) }); errors.Is(err, provider.ErrNotFound) {
			return l.nothing()
		}
		if errors.Is(err, provider.ErrBusy) {
			for _, at := range []nic.Place{vm1, vm2} { // wherever it is; the other says so
				if detachErr := l.call(func(ctx context.Context) error { return l.p.Detach(ctx, l.id, at.Instance) }); detachErr != nil {
					err = errors.Join(err, detachErr)
				}
			}
		}
		if err := l.once(); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("never gone: %w", err)
}

func (l *struckLife) nothing() error {
	sound := l.controller() // without blows
	all, err := sound.List(l.t.Context())
	limits, limitsErr := sound.Limits(l.t.Context(), vm1.Instance)
	if err := errors.Join(err, limitsErr); err != nil {
		return err
	}
	if cards := l.cards("vm1") + l.cards("vm2"); len(all) > 0 || cards != "" || limits.Free != l.free {
		return fmt.Errorf("left: %+v, cards %q, %d slots free of %d", all, cards, limits.Free, l.free)
	}
	if left := l.ledger.Records(); len(left) > 0 {
		return fmt.Errorf("left in the ledger: %q", left)
	}
	return nil
}
