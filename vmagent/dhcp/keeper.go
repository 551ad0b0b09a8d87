// Package dhcp keeps DHCPv4 leases for NICs inside containers, from outside
// their namespaces.
//
// A [Keeper] holds one lease. Between its conversations with the server it
// costs one sleeping goroutine and nothing else: no thread, no descriptor, and
// no packet of the container is looked at.
package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// Options say whose lease is kept and how to reach the servers.
type Options struct {
	// Listen opens a Conn on the NIC; see Listener. It is called at the start
	// of every conversation and again when a Conn breaks. Required.
	Listen func() (Conn, error)
	// MAC of the NIC. Required.
	MAC nic.MAC
	// ClientID is option 61, 2 to 255 bytes: what the server knows the claim
	// by, whichever NIC serves it. Required.
	ClientID []byte
	// Hostname is told to the server if CheckHostname allows it. Optional.
	Hostname string
	// Lease is what an earlier keeper had. While it is usable the keeper goes
	// on with it without a word until T1; when it is not, its address is asked
	// for again. Optional.
	Lease *Lease
	// Wake is called from the keeper's goroutine whenever State has changed.
	// It must not block, nor call Stop. Optional.
	Wake func()
	// Log is told of leases won and lost. Optional.
	Log *slog.Logger
}

// State is how a lease stands.
type State struct {
	// Bound: the lease holds, its address belongs on the NIC. Otherwise no
	// address from DHCP may be on it.
	Bound bool
	// Lease is the one that holds, or the last that did; zero if there was
	// none or a server has refused it.
	Lease Lease
	// Since is when Bound last changed, or the start.
	Since time.Time
	// Err is the last trouble, nil if there is none. With Bound it is a
	// warning: the renewal does not get through.
	Err error
}

// A Keeper holds one lease until it is stopped.
type Keeper struct {
	opts   Options
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	state State // guarded by mu
}

// Start begins to keep a lease, in a goroutine that Stop ends. The error names
// a required option that is missing.
func Start(o Options) (*Keeper, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("start DHCP: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	now := time.Now()
	k := &Keeper{opts: o, cancel: cancel, done: make(chan struct{}), state: State{Since: now}}
	if o.Lease != nil {
		k.state.Lease = *o.Lease
		k.state.Bound = o.Lease.Usable(now)
	}
	go k.run(ctx)
	return k, nil
}

// check fills in what is optional and reports what is missing.
func (o *Options) check() error {
	if o.Wake == nil {
		o.Wake = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Hostname != "" && CheckHostname(o.Hostname) != nil {
		o.Log.Warn("host name not told to DHCP server", "err", CheckHostname(o.Hostname))
		o.Hostname = ""
	}
	switch {
	case o.Listen == nil:
		return errors.New("no Listen")
	case o.MAC.IsZero():
		return errors.New("no MAC")
	case len(o.ClientID) < 2 || len(o.ClientID) > 255:
		return fmt.Errorf("client id of %d bytes, want 2 to 255", len(o.ClientID))
	}
	return nil
}

// State returns how the lease stands now.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Stop ends the keeper and waits for it, at most until ctx ends. With release
// it tells the server that the address is free; without, the lease can be
// resumed by a later keeper until it expires. It may be called again, and then
// does only what has not been done.
func (k *Keeper) Stop(ctx context.Context, release bool) error {
	k.cancel()
	select {
	case <-k.done:
	case <-ctx.Done():
		return fmt.Errorf("stop DHCP: %w", ctx.Err())
	}
	if !release {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.state.Bound {
		return nil
	}
	o := k.opts
	o.Lease = &k.state.Lease
	if err := Release(o); err != nil {
		return err
	}
	k.state = State{Since: time.Now()}
	return nil
}

// Release tells the server that o.Lease is given up, without a keeper: for a
// NIC that has left its container already. The message is sent once, no server
// answers it, and one that misses it waits for the expiry. A lease that is nil
// or has expired is nothing to release: nil.
func Release(o Options) error {
	if err := o.check(); err != nil {
		return fmt.Errorf("release DHCP lease: %w", err)
	}
	if !o.Lease.Usable(time.Now()) {
		return nil
	}
	conn, err := o.Listen()
	if err != nil {
		return fmt.Errorf("release %s: %w", o.Lease.Addr, err)
	}
	err = conn.Send(o.giveBack(*o.Lease).ToBytes(), o.Lease.toServer())
	if err := errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("release %s: %w", o.Lease.Addr, err)
	}
	return nil
}

func (k *Keeper) run(ctx context.Context) {
	defer close(k.done)
	pause := retry.Backoff{First: firstResend, Max: maxResend}
	for ctx.Err() == nil {
		if state := k.State(); state.Bound {
			k.keep(ctx, state.Lease)
			continue
		}
		if err := k.acquire(ctx); err == nil {
			pause.Reset()
		} else if ctx.Err() == nil {
			k.trouble(err)
			retry.Sleep(ctx, pause.Next()) // its error is ctx's
		}
	}
}

func (k *Keeper) session() *session {
	return &session{opts: &k.opts, started: time.Now(), trouble: k.trouble}
}

// acquire gets a lease; the error is one of a conversation gone wrong.
func (k *Keeper) acquire(ctx context.Context) error {
	s := k.session()
	defer s.close()
	lease, err := s.acquire(ctx, k.State().Lease.Addr.Addr())
	if err != nil {
		return err
	}
	k.opts.Log.Info("DHCP lease acquired", "addr", lease.Addr, "server", lease.Server,
		"expires", lease.Expires)
	for _, note := range lease.Notes {
		k.opts.Log.Warn("DHCP answer taken in part", "server", lease.Server, "note", note)
	}
	k.change(State{Bound: true, Lease: lease})
	return nil
}

// keep waits until the lease is due and prolongs it, or loses it.
func (k *Keeper) keep(ctx context.Context, lease Lease) {
	// A tenth of the time to T2 keeps a fleet that started together from
	// renewing together.
	fuzz := rand.N(lease.T2.Sub(lease.T1)/10 + 1)
	if retry.Sleep(ctx, time.Until(lease.renewal(time.Now()).Add(fuzz))) != nil {
		return
	}
	s := k.session()
	defer s.close()
	next, err := s.extend(ctx, lease)
	switch {
	case err == nil:
		k.opts.Log.Debug("DHCP lease renewed", "addr", next.Addr, "server", next.Server, "expires", next.Expires)
		k.change(State{Bound: true, Lease: next})
	case ctx.Err() != nil:
	case errors.Is(err, ErrRefused):
		k.opts.Log.Warn("DHCP lease lost", "addr", lease.Addr, "err", err)
		k.change(State{Err: err})
	default:
		k.opts.Log.Warn("DHCP lease lost", "addr", lease.Addr, "err", err)
		k.change(State{Lease: lease, Err: err})
	}
}

// change publishes a new state.
func (k *Keeper) change(next State) {
	k.mu.Lock()
	next.Since = k.state.Since
	if next.Bound != k.state.Bound {
		next.Since = time.Now()
	}
	k.state = next
	k.mu.Unlock()
	k.opts.Wake()
}

// trouble publishes err with the lease as it is; the same trouble again wakes
// nobody.
func (k *Keeper) trouble(err error) {
	state := k.State()
	if state.Err != nil && state.Err.Error() == err.Error() {
		return
	}
	state.Err = err
	k.change(state)
}
