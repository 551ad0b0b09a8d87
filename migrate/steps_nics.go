package migrate

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// How long NICs may be at the same before it counts as no progress: while their
// provider is at work, and while a node is.
const (
	bringWithin      = 5 * time.Second
	providerPatience = time.Minute
	nodePatience     = 12 * time.Second
)

// fence makes the claims the move's, and keeps room for them on the target.
func (s *stepper) fence(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	_, err := s.Claims.BeginMove(ctx, m.ID, m.Claims, m.To, m.Target)
	return err
}

// unfence makes the claims what they were, if they are the move's.
func (s *stepper) unfence(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	claims, err := s.Claims.OnNode(ctx, m.From)
	if err != nil {
		return err
	}
	ours := slices.ContainsFunc(claims, func(c nic.Claim) bool { return c.Move != nil && c.Move.Move == m.ID })
	if !ours {
		return nil
	}
	return s.Claims.CancelMove(ctx, m.ID, m.Claims)
}

// aim says which container is to have the claims.
func (s *stepper) aim(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	return s.Claims.AimMove(ctx, m.ID, m.Claims, m.TargetSandbox)
}

// reserve waits until a NIC on the target has a place for each address that goes
// alone. It is kept from the fence on, which also ends it.
func (s *stepper) reserve(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	var closed bool
	err := s.awaitNICs(ctx, m, m.To, "to have places on "+m.To, func(at []nic.Whereabouts) bool {
		closed = slices.ContainsFunc(at, func(w nic.Whereabouts) bool { return w.NextClosed })
		return closed || all(at, func(w nic.Whereabouts) bool { return w.Next == "" || w.NextPhase == nic.PhaseCarrying })
	})
	if err != nil || !closed {
		return err
	}
	at, err := s.Claims.Whereabouts(ctx, m.Claims)
	if err != nil {
		return err
	}
	for _, w := range at {
		if w.NextClosed {
			return fmt.Errorf("NIC %s, which was to have the address of claim %s on %s, is given up%s", w.Next, w.Claim, m.To, because(w.Conditions))
		}
	}
	return nil
}

// nicOut has the NICs leave the source, which says that nothing of them is left. While
// the source does so the target's container is started, as the source's does not run
// any more: then that word is waited for along with where the NICs get to.
func (s *stepper) nicOut(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	if m.SilentFrom.IsZero() && !m.Stopped {
		if err := s.journal.Note(ctx, func(m *nic.Move) { m.SilentFrom = time.Now() }); err != nil {
			return err
		}
	}
	if err := s.bring(ctx, m, m.To); err != nil || m.Kind == nic.MoveContainer && !m.Stopped {
		return err
	}
	return s.awaitNICs(ctx, m, "", "out of "+m.From, func(at []nic.Whereabouts) bool {
		return all(at, func(w nic.Whereabouts) bool { return w.Node != m.From || w.Seen == nic.ObservedClean })
	})
}

// bring says where the NICs are to be, a few times if need be: how long they may
// take to get there is another matter.
func (s *stepper) bring(ctx context.Context, m nic.Move, node string) error {
	wait := retry.Backoff{First: 100 * time.Millisecond, Max: time.Second}
	for end := time.Now().Add(bringWithin); ; {
		err := s.Claims.BringNICs(ctx, m.ID, m.Claims, node)
		if err == nil || time.Now().After(end) || retry.Sleep(ctx, wait.Next()) != nil {
			return err
		}
	}
}

// nicBack has them come back to the source's node.
func (s *stepper) nicBack(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	at, err := s.Claims.Whereabouts(ctx, m.Claims)
	if err != nil {
		return err
	}
	if err := s.bring(ctx, m, m.From); err != nil {
		return saga.Final(err)
	}
	if m.Kind == nic.MoveNIC && allIn(at, m.From) {
		return nil
	}
	there := func(at []nic.Whereabouts) bool { return allPlugged(at, m.From) }
	if m.Kind == nic.MoveNIC {
		there = func(at []nic.Whereabouts) bool { return allBack(at, m.From) }
	}
	return parks(s.awaitNICs(ctx, m, m.From, "back on "+m.From, there))
}

// nicIn waits until the NICs are in the target's container, or, if that is not to
// run, on its node.
func (s *stepper) nicIn(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	if m.Stopped {
		has := func(w nic.Whereabouts) bool { return w.Phase == nic.PhaseHeld } // as the pivot wants it: attached may be known before
		return s.awaitNICs(ctx, m, m.To, "on "+m.To, func(at []nic.Whereabouts) bool { return all(at, has) && allPlugged(at, m.To) })
	}
	err := s.awaitNICs(ctx, m, m.To, "in "+m.Target+" on "+m.To, func(at []nic.Whereabouts) bool { return allIn(at, m.To) })
	if err != nil {
		return err
	}
	return s.journal.Note(ctx, func(m *nic.Move) { m.SilentTo = time.Now() })
}

// pivot makes the claims the target's. An answer that did not come is asked for
// again: only a claim that is not so is taken for not done.
func (s *stepper) pivot(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	return saga.Again(s.Claims.FinishMove(ctx, m.ID, m.Claims))
}

// unpivot looks whether it is done all the same.
func (s *stepper) unpivot(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	claims, err := s.Claims.OnNode(ctx, m.To)
	if err != nil {
		return err
	}
	for _, c := range claims {
		if slices.Contains(m.Claims, c.ID) && c.Move == nil && c.Owner.Node == m.To {
			return saga.ErrPivoted
		}
	}
	return nil
}

// awaitNICs waits until the NICs are as wanted. It gives up when they have been at
// the same for too long, and when the node that they are to be on is dead.
func (s *stepper) awaitNICs(ctx context.Context, m nic.Move, node, where string, as func([]nic.Whereabouts) bool) error {
	watched, stop := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop(nil)
	p := progress{since: time.Now()}
	watching.Go(func() { s.watchNICs(watched, stop, node, &p) })
	err := s.Claims.AwaitNICs(watched, m.Claims, func(at []nic.Whereabouts) bool {
		p.see(at)
		return as(at)
	})
	if err == nil {
		return nil
	}
	if cause := context.Cause(watched); ctx.Err() == nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("wait until the NICs are %s: %w (%w)", where, cause, err)
	}
	return fmt.Errorf("wait until the NICs are %s: %w", where, err)
}

func (s *stepper) watchNICs(ctx context.Context, stop context.CancelCauseFunc, node string, p *progress) {
	lookAgain(ctx, func() (over bool) {
		if since, patience := p.stuck(); since > patience {
			stop(fmt.Errorf("%w for %v", errStuck, since.Round(time.Second)))
			return true
		}
		if node == "" {
			return false
		}
		dead := s.deadly(ctx, node)
		if dead != nil {
			stop(dead)
		}
		return dead != nil
	})
}

// errStuck: NICs are not on their way any more.
var errStuck = errors.New("nothing has changed")

// progress is when NICs were last seen to change.
type progress struct {
	mu    sync.Mutex
	last  []nic.Whereabouts
	since time.Time
}

func (p *progress) see(at []nic.Whereabouts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.EqualFunc(at, p.last, sameAt) {
		p.since = time.Now()
	}
	p.last = slices.Clone(at)
}

// sameAt says whether a NIC is at what it was at. How long it has been so, as its
// conditions tell people, is no progress; another condition is.
func sameAt(a, b nic.Whereabouts) bool {
	same := slices.EqualFunc(a.Conditions, b.Conditions, func(a, b nic.Condition) bool { return a.Reason == b.Reason })
	a.Conditions, b.Conditions = nil, nil
	return same && reflect.DeepEqual(a, b)
}

// stuck is how long nothing has changed, and how long that may be so.
func (p *progress) stuck() (since, patience time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	patience = nodePatience
	for _, w := range p.last {
		switch w.State {
		case nic.StateCreating, nic.StateAttaching, nic.StateDetaching, nic.StateDeleting, nic.StateAvailable:
			patience = providerPatience
		}
		if w.NextPhase == nic.PhasePlanned {
			patience = providerPatience
		}
	}
	return time.Since(p.since), patience
}

// allIn: all NICs are in their running containers on the node.
func allIn(at []nic.Whereabouts, node string) bool {
	return all(at, func(w nic.Whereabouts) bool {
		return w.Node == node && w.Seen == nic.ObservedIn && w.Running
	})
}

// allBack is allIn for the node that they come from: a claim whose address is lost gets
// another when the move is over.
func allBack(at []nic.Whereabouts, node string) bool {
	return all(at, func(w nic.Whereabouts) bool { return w.AddrLost || allIn([]nic.Whereabouts{w}, node) })
}

// allPlugged: all NICs that there are are on the node.
func allPlugged(at []nic.Whereabouts, node string) bool {
	return all(at, func(w nic.Whereabouts) bool {
		return w.NIC == "" && w.Node == "" || w.Node == node && w.State == nic.StateAttached && w.Seen != nic.ObservedClean
	})
}

func all(at []nic.Whereabouts, as func(nic.Whereabouts) bool) bool {
	return !slices.ContainsFunc(at, func(w nic.Whereabouts) bool { return !as(w) })
}
