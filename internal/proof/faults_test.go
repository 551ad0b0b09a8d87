package proof

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A when is the moment at which a call is struck.
type when string

const (
	before  when = "before the effect"
	after   when = "after the effect"
	noReply when = "no reply"
)

// A blow strikes some calls of one op.
type blow struct {
	op   string
	kind error // with noReply: none, the call hangs until its time is over
	when when
	left atomic.Int32
}

// struck is a provider some of whose calls fail.
type struck struct {
	provider.Provider
	blow *blow
}

// call carries out do unless the call is struck before it.
func (s *struck) call(ctx context.Context, op string, do func() error) error {
	b := s.blow
	if b == nil || b.op != op || b.left.Add(-1) < 0 {
		return do()
	}
	if b.when == before {
		return s.fail(op, b.kind, nil)
	}
	err := do()
	if b.when == noReply {
		<-ctx.Done()
		return s.fail(op, provider.ErrUnknown, ctx.Err())
	}
	if err != nil {
		return err
	}
	return s.fail(op, b.kind, nil)
}

func (s *struck) fail(op string, kind, cause error) error {
	return &provider.Error{Kind: kind, Scope: provider.ScopeNIC, Provider: s.Info().Name, Op: op, Err: cause}
}

func (s *struck) Create(ctx context.Context, spec nic.Spec) (seen nic.Seen, err error) {
	err = s.call(ctx, fake.OpCreate, func() (err error) { seen, err = s.Provider.Create(ctx, spec); return err })
	return orNothing(seen, err), err
}

func (s *struck) Attach(ctx context.Context, id nic.ID, place nic.Place) (seen nic.Seen, err error) {
	err = s.call(ctx, fake.OpAttach, func() (err error) { seen, err = s.Provider.Attach(ctx, id, place); return err })
	return orNothing(seen, err), err
}

func orNothing[T any](v T, err error) T {
	var none T
	if err != nil {
		return none
	}
	return v
}

func (s *struck) Detach(ctx context.Context, id nic.ID, at nic.InstanceID) error {
	return s.call(ctx, fake.OpDetach, func() error { return s.Provider.Detach(ctx, id, at) })
}

func (s *struck) Delete(ctx context.Context, id nic.ID) error {
	return s.call(ctx, fake.OpDelete, func() error { return s.Provider.Delete(ctx, id) })
}

func (s *struck) Get(ctx context.Context, ids ...nic.ID) (seen map[nic.ID]nic.Seen, err error) {
	err = s.call(ctx, fake.OpGet, func() (err error) { seen, err = s.Provider.Get(ctx, ids...); return err })
	return orNothing(seen, err), err
}

func (s *struck) List(ctx context.Context) (seen []nic.Seen, err error) {
	err = s.call(ctx, fake.OpList, func() (err error) { seen, err = s.Provider.List(ctx); return err })
	return orNothing(seen, err), err
}

func (s *struck) Limits(ctx context.Context, at nic.InstanceID) (l provider.Limits, err error) {
	err = s.call(ctx, fake.OpLimits, func() (err error) { l, err = s.Provider.Limits(ctx, at); return err })
	return orNothing(l, err), err
}

// kinds are all that a provider's errors can be.
var kinds = []error{
	provider.ErrNotFound, provider.ErrExhausted, provider.ErrThrottled, provider.ErrBusy, provider.ErrElsewhere,
	provider.ErrDenied, provider.ErrInvalid, provider.ErrUnsupported, provider.ErrUnknown,
}

// A cell is one place of the fault table.
type cell struct {
	op     string
	kind   error
	when   when
	times  int32
	pooled bool // the container is of a network that keeps NICs in reserve
}

func (c cell) String() string {
	text := fmt.Sprintf("%s %s %s x%d", c.op, c.kind, c.when, c.times)
	if c.when == noReply {
		text = fmt.Sprintf("%s %s x%d", c.op, c.when, c.times)
	}
	if c.pooled {
		text += " with a pool"
	}
	return text
}

// lies says whether the provider breaks its contract in the cell: it calls a
// NIC gone for good that is there. Nothing can be done about that but to see it.
func (c cell) lies() bool {
	return c.op == fake.OpDelete && errors.Is(c.kind, provider.ErrNotFound) && c.when == before
}

// cells is the whole table. With a pool it is whole in the long run alone:
// otherwise only what may have taken place.
func cells() []cell {
	var all []cell
	add := func(c cell) {
		all = append(all, c)
		if long() || c.times == 1 && (c.when == noReply || errors.Is(c.kind, provider.ErrUnknown)) {
			c.pooled = true
			all = append(all, c)
		}
	}
	for _, op := range []string{fake.OpLimits, fake.OpCreate, fake.OpAttach, fake.OpDetach, fake.OpDelete, fake.OpGet, fake.OpList} {
		for _, times := range []int32{1, 3} {
			for _, kind := range kinds {
				add(cell{op: op, kind: kind, when: before, times: times})
				add(cell{op: op, kind: kind, when: after, times: times})
			}
			add(cell{op: op, when: noReply, times: times})
		}
	}
	return all
}

// F02: whatever call fails, however, and whether or not it took effect, the
// claim is served or says what is the matter, and nothing stays behind.
func TestF02_FaultTable(t *testing.T) {
	ran, struckBy, refused, lies := 0, 0, 0, 0
	for _, c := range cells() {
		t.Run(c.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) error {
				how, fell, err := strike(t, c)
				ran++
				if fell {
					struckBy++
				} else if c.op != fake.OpList { // which the sweep alone calls, in its own time
					return errors.Join(err, errors.New("no call was struck: the cell shows nothing"))
				}
				switch {
				case c.lies() && errors.Is(err, errUnowned):
					lies++
					return nil
				case c.lies() && err == nil:
					return errors.New("the provider lost a NIC of ours and nobody noticed")
				case how == nic.ClaimRefused:
					refused++
				}
				return err
			})
		})
	}
	counts(t, "fault table: %d cells of %d, %d of them struck a call; %d were refused with a reason on the way, %d lies of the provider were seen",
		ran, len(cells()), struckBy, refused, lies)
	if ran != len(cells()) {
		t.Errorf("%d cells of %d were run", ran, len(cells()))
	}
}

var errUnowned = errors.New("a NIC with our tag is left without a record")

// strike leads a container through its life while calls fail. It returns how
// the claim stood after a while, and whether a call was struck at all.
func strike(t *testing.T, c cell) (stood nic.ClaimPhase, fell bool, err error) {
	w := newWorld(t, slowly(), nil, "vm1")
	defer w.close()
	b := &blow{op: c.op, kind: c.kind, when: c.when}
	b.left.Store(c.times)
	defer func() { fell = b.left.Load() < c.times }()
	w.via = &struck{w.cloud, b}
	network := "few"
	if c.pooled {
		network, w.pools = "warm", modelPools()
	}
	if err := w.crash(); err != nil {
		return "", false, err
	}
	of := w.agents[0].run(1, nic.Request{Network: network})
	for range 6 {
		if err := errors.Join(w.pass(5*time.Second), w.check()); err != nil {
			return "", false, err
		}
		claim, _ := w.claimOf(of)
		if claim.Phase == nic.ClaimRefused {
			stood = claim.Phase
		}
		if claim.Phase == nic.ClaimPending && len(claim.Conditions) == 0 && time.Since(claim.Since) > 20*time.Second {
			return "", false, fmt.Errorf("the claim waits without a reason: %+v", claim)
		}
	}
	err = w.until(time.Hour, "bound again once the blows are over", func() bool {
		claim, _ := w.claimOf(of)
		return claim.Phase == nic.ClaimBound
	})
	if err = errors.Join(err, w.check()); err != nil {
		return "", false, err
	}
	of.running, of.gone = false, true
	err = w.until(time.Hour, "gone once released", func() bool {
		_, there := w.claimOf(of)
		return !there
	})
	if c.pooled {
		err = errors.Join(err, w.pass(2*time.Minute))
		w.pools = nil
		err = errors.Join(err, w.crash())
	}
	if err = errors.Join(err, w.pass(time.Minute)); err != nil {
		return "", false, err
	}
	if c.lies() && w.check() != nil {
		return stood, false, errUnowned
	}
	return stood, false, errors.Join(w.check(), w.empty())
}
