package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// A declined address is not asked for anew for 10–20 s (RFC 2131 §3.1.5 wants
// 10 s), and longer each time: a host that claims every address must not make
// us empty the server's pool.
const (
	firstDecline = 20 * time.Second
	maxDecline   = 10 * time.Minute
)

// A Lease is a Grant with what its protocol adds; it embeds one.
type Lease interface {
	Granted() Grant
	// Giver names the server to people.
	Giver() string
}

// A Protocol speaks with servers. Each call is one conversation, which leaves
// no socket open but for those that Wait waits for, and ends with ctx. It calls
// trouble with what goes wrong while it tries on. A keeper makes one call at a
// time.
type Protocol[L Lease] interface {
	// Acquire gets a lease, if possible on the address of last, which may be
	// zero. It waits for a first answer until ctx ends.
	Acquire(ctx context.Context, trouble func(error), last L) (L, error)
	// Verify asks whether a lease of before a restart is still good on this
	// link: ErrRefused if not, ErrNoAnswer if nobody knows within some seconds.
	Verify(ctx context.Context, trouble func(error), l L) (L, error)
	// Extend prolongs a lease: ErrRefused if it is no longer ours, ErrNoAnswer
	// if it has run out before anybody answered.
	Extend(ctx context.Context, trouble func(error), l L) (L, error)
	// Decline tells the server that another host has the address.
	Decline(ctx context.Context, l L, why string) error
	// Release tells the server that the address is free.
	Release(ctx context.Context, l L) error
	// Wait returns when the sockets of earlier conversations are closed.
	Wait()
}

// Options say what is kept.
type Options[L Lease] struct {
	Protocol Protocol[L] // required
	// Lease is what an earlier keeper had; Usable says whether it still holds.
	// Optional.
	Lease  *L
	Usable bool
	// Verify asks the servers about Lease at once. Without it they are asked
	// only when it is past T1. Optional.
	Verify bool
	// Wake is called from the keeper's goroutine whenever State has changed.
	// It must not block, nor call Stop. Optional.
	Wake func()
	// Told is called with what becomes of the lease, from the keeper's goroutine.
	// It must not block. Optional.
	Told func(Event)
	// Log is told of leases won and lost. Optional.
	Log *slog.Logger
}

// A Keeper holds one lease until it is stopped. Between conversations it costs
// one sleeping goroutine.
type Keeper[L Lease] struct {
	opts   Options[L]
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	state    State[L]           // guarded by mu, as are:
	declined *declined[L]       // to be told to its server
	endTurn  context.CancelFunc // ends the conversation or sleep of the moment
}

// declined is a lease that another host holds, and who.
type declined[L Lease] struct {
	lease L
	why   string
}

// Start begins to keep a lease, in a goroutine that Stop ends.
func Start[L Lease](o Options[L]) *Keeper[L] {
	if o.Wake == nil {
		o.Wake = func() {}
	}
	if o.Told == nil {
		o.Told = func(Event) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &Keeper[L]{opts: o, cancel: cancel, done: make(chan struct{}), endTurn: func() {}}
	now := time.Now()
	k.state.Since = now
	verify := false
	if o.Lease != nil {
		k.state.Lease, k.state.Bound = *o.Lease, o.Usable
		g := k.state.Lease.Granted()
		verify = g.Addr.IsValid() && (o.Verify || !now.Before(g.Due(now)))
	}
	go k.run(ctx, verify)
	return k
}

// State returns how the lease stands now.
func (k *Keeper[L]) State() State[L] {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Decline gives addr back because another host on the wire has it; why says
// who, for people. From its return on State is not bound; the keeper tells the
// server, waits, and starts over. With an address that is not held it does
// nothing, so it may be called again and late.
func (k *Keeper[L]) Decline(addr netip.Addr, why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.state.Bound || k.state.Lease.Granted().Addr.Addr() != addr {
		return
	}
	k.declined = &declined[L]{k.state.Lease, why}
	k.state = State[L]{Since: time.Now(), Err: fmt.Errorf("%s: %w: %s", addr, ErrConflict, why)}
	k.endTurn()
}

// Stop ends the keeper and waits for it, at most until ctx ends. With release
// it tells the server that the address is free; without, the lease can be
// resumed by a later keeper until it expires. It may be called again, and then
// does only what has not been done.
func (k *Keeper[L]) Stop(ctx context.Context, release bool) error {
	k.cancel()
	select {
	case <-k.done:
	case <-ctx.Done():
		return fmt.Errorf("stop DHCP: %w", ctx.Err())
	}
	state := k.State()
	if !release || !state.Bound {
		return nil
	}
	if err := k.opts.Protocol.Release(ctx, state.Lease); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state = State[L]{Since: time.Now()}
	return nil
}

// run takes turns: each ends by itself, by Decline or by Stop.
func (k *Keeper[L]) run(ctx context.Context, verify bool) {
	defer close(k.done)
	defer k.opts.Protocol.Wait()
	pause := retry.Backoff{First: firstResend, Max: maxResend}
	declines := retry.Backoff{First: firstDecline, Max: maxDecline}
	for ctx.Err() == nil {
		turn, state, lost := k.turn(ctx)
		switch {
		case lost != nil:
			k.decline(turn, *lost)
			_ = retry.Sleep(turn, declines.Next()) // its error is turn's
		case verify:
			verify = false
			k.verify(turn, state)
		case state.Bound:
			if k.keep(turn, state.Lease) {
				declines.Reset()
			}
		default:
			if err := k.acquire(turn, state.Lease); err == nil {
				pause.Reset()
			} else if turn.Err() == nil {
				k.trouble(turn)(err)
				_ = retry.Sleep(turn, pause.Next())
			}
		}
	}
}

// turn begins a turn, and takes over what was declined.
func (k *Keeper[L]) turn(ctx context.Context) (turn context.Context, state State[L], lost *declined[L]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.endTurn()
	turn, k.endTurn = context.WithCancel(ctx)
	lost, k.declined = k.declined, nil
	return turn, k.state, lost
}

func (k *Keeper[L]) decline(turn context.Context, lost declined[L]) {
	k.opts.Wake()
	k.opts.Told(Declined)
	addr := lost.lease.Granted().Addr
	k.opts.Log.Warn("DHCP address declined", "addr", addr, "server", lost.lease.Giver(), "why", lost.why)
	if err := k.opts.Protocol.Decline(turn, lost.lease, lost.why); err != nil && turn.Err() == nil {
		k.opts.Log.Warn("DHCP server not told of a declined address", "addr", addr, "err", err)
	}
}

// verify asks about a lease of before a restart. If nobody answers it is used
// on for as long as it holds (RFC 2131 §3.2).
func (k *Keeper[L]) verify(turn context.Context, was State[L]) {
	next, err := k.opts.Protocol.Verify(turn, k.trouble(turn), was.Lease)
	switch {
	case err == nil:
		k.opts.Log.Info("DHCP lease verified", attrs(next)...)
		k.opts.Told(Verified)
		k.change(turn, State[L]{Bound: true, Lease: next})
	case errors.Is(err, ErrRefused):
		k.lose(turn, was.Lease, State[L]{Err: err})
	}
}

// acquire gets a lease; the error is one of a conversation gone wrong.
func (k *Keeper[L]) acquire(turn context.Context, last L) error {
	next, err := k.opts.Protocol.Acquire(turn, k.trouble(turn), last)
	if err != nil {
		return err
	}
	k.opts.Log.Info("DHCP lease acquired", attrs(next)...)
	k.opts.Told(Acquired)
	for _, note := range next.Granted().Notes {
		k.opts.Log.Warn("DHCP answer taken in part", "server", next.Giver(), "note", note)
	}
	k.change(turn, State[L]{Bound: true, Lease: next})
	return nil
}

// keep waits until the lease is due and prolongs it, or loses it.
func (k *Keeper[L]) keep(turn context.Context, l L) (kept bool) {
	// A tenth of the time to T2 keeps a fleet that started together from
	// renewing together.
	g := l.Granted()
	fuzz := rand.N(g.T2.Sub(g.T1)/10 + 1)
	if retry.Sleep(turn, time.Until(g.Due(time.Now()).Add(fuzz))) != nil {
		return false
	}
	next, err := k.opts.Protocol.Extend(turn, k.trouble(turn), l)
	switch {
	case err == nil:
		k.opts.Log.Debug("DHCP lease renewed", attrs(next)...)
		k.opts.Told(Renewed)
		k.change(turn, State[L]{Bound: true, Lease: next})
	case errors.Is(err, ErrRefused):
		k.lose(turn, l, State[L]{Err: err})
	default:
		k.lose(turn, l, State[L]{Lease: l, Err: err})
	}
	return err == nil
}

func (k *Keeper[L]) lose(turn context.Context, l L, next State[L]) {
	if k.change(turn, next) {
		event := Expired
		if errors.Is(next.Err, ErrRefused) {
			event = Refused
		}
		k.opts.Told(event)
		k.opts.Log.Warn("DHCP lease lost", "addr", l.Granted().Addr, "err", next.Err)
	}
}

// change publishes a new state, unless the turn that it comes from is over.
func (k *Keeper[L]) change(turn context.Context, next State[L]) bool {
	k.mu.Lock()
	over := turn.Err() != nil
	if !over {
		next.Since = k.state.Since
		if next.Bound != k.state.Bound {
			next.Since = time.Now()
		}
		k.state = next
	}
	k.mu.Unlock()
	if !over {
		k.opts.Wake()
	}
	return !over
}

// trouble publishes an error with the lease as it is; the same trouble again
// wakes nobody.
func (k *Keeper[L]) trouble(turn context.Context) func(error) {
	return func(err error) {
		state := k.State()
		if state.Err != nil && state.Err.Error() == err.Error() {
			return
		}
		state.Err = err
		k.change(turn, state)
	}
}

func attrs[L Lease](l L) []any {
	return []any{"addr", l.Granted().Addr, "server", l.Giver(), "expires", l.Granted().Expires}
}
