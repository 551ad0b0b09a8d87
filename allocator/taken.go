package allocator

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/allocator/ipam"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// taken has in memory which addresses and numbers are reserved, so that a free
// one is found without reading the store for each. It is a hint: a choice is
// read and committed at its record's revision, and what turns out otherwise is
// learnt. The leader keeps it up to date by its watch; elsewhere it is read
// afresh for each choice.
type taken struct {
	clock
	mu   sync.Mutex
	live bool
	// doubt: something was noted that a change may have overtaken. Before
	// anybody is told that all is taken, it is read afresh.
	doubt   bool
	addrs   map[string]*ipam.Pool[netip.Addr]  // by space
	numbers map[string]*ipam.Pool[ipam.Number] // by KIND/SCOPE
	// ends is when reservations without holder, and kept identities, are to be
	// forgotten, by their keys.
	ends ends
	next time.Time // when the leader looks at ends again; zero if it does not
}

func newTaken(c clock) *taken {
	t := &taken{clock: c}
	t.clear()
	return t
}

func (t *taken) clear() {
	t.addrs, t.numbers = map[string]*ipam.Pool[netip.Addr]{}, map[string]*ipam.Pool[ipam.Number]{}
	t.ends, t.doubt = newEnds(), false
}

// load reads all that there is. The caller holds the lock, so that no change is
// noted in between and then forgotten.
func (t *taken) load(ctx context.Context, s store.Store) error {
	t.clear()
	for _, prefix := range []string{addrPrefix, numberPrefix, macPrefix, keptPrefix, seatRoot} {
		_, err := store.WalkAs(ctx, s, prefix, readHold, func(r hold) error {
			t.note(r)
			return nil
		})
		if err != nil {
			t.doubt = true
			return err
		}
	}
	return nil
}

// follow reads all and begins the time in which every change is seen.
func (t *taken) follow(ctx context.Context, s store.Store) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.load(ctx, s)
	t.live = err == nil
	return err
}

// unfollow ends that time.
func (t *taken) unfollow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live = false
}

// see notes changed records, and reports whether what is to be forgotten is
// due earlier than it was.
func (t *taken) see(events []store.Event) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	earlier := false
	for _, e := range events {
		t.learn(e.Key, e.Record, e.Gone)
		if end, ok := t.ends.at[e.Key]; ok && (t.next.IsZero() || end.Before(t.next)) {
			t.next, earlier = end, true
		}
	}
	return earlier
}

// A hold is what counts here of a record that reserves something, or has.
type hold struct {
	key       string
	by        resting
	gone, bad bool
}

// A resting is how long what a record reserves rests, if nobody holds it.
type resting struct {
	Free  time.Time `json:"free"`
	Until time.Time `json:"until"`
}

func (r resting) held() bool { return r.Until.IsZero() }

// readHold reads such a record, of which there are many, without all that it says
// besides. Whoever reads one for a decision that cannot be read will say so.
func readHold(r store.Record) (hold, error) {
	h := hold{key: r.Key}
	if !bytes.HasPrefix(r.Value, []byte(`"`)) { // a holder's id alone, of long ago
		h.bad = json.Unmarshal(r.Value, &h.by) != nil
	}
	return h, nil
}

// learn notes a changed record. The caller holds the lock.
func (t *taken) learn(key string, record store.Record, gone bool) {
	kind, _, _ := strings.Cut(key, "/")
	switch kind + "/" {
	case addrPrefix, numberPrefix, macPrefix, keptPrefix, seatRoot:
	default:
		return
	}
	h := hold{key: key, gone: gone}
	if !gone {
		r, err := store.DecodeJSON[nic.Reservation](record) // of a nic.Kept it has what counts here
		h.by, h.bad = resting{r.Free, r.Until}, err != nil
	}
	t.note(h)
}

// note notes one record. The caller holds the lock.
func (t *taken) note(r hold) {
	t.ends.drop(r.key)
	if r.bad {
		return
	}
	if !r.gone && !r.by.held() {
		t.ends.set(r.key, r.by.Until)
	}
	kind, rest, _ := strings.Cut(r.key, "/")
	cut := strings.LastIndexByte(rest, '/')
	switch kind + "/" {
	case addrPrefix:
		if addr, err := netip.ParseAddr(rest[cut+1:]); err == nil && cut >= 0 {
			note(poolOf(t.addrs, rest[:cut]), addr, r.by, r.gone)
		}
	case numberPrefix:
		if n, ok := parseNumber(rest[cut+1:]); ok && cut >= 0 {
			note(poolOf(t.numbers, rest[:cut]), n, r.by, r.gone)
		}
	}
}

func poolOf[K ipam.Key](pools map[string]*ipam.Pool[K], name string) *ipam.Pool[K] {
	if pools[name] == nil {
		pools[name] = &ipam.Pool[K]{}
	}
	return pools[name]
}

func note[K ipam.Key](pool *ipam.Pool[K], k K, r resting, gone bool) {
	switch {
	case gone:
		pool.Drop(k)
	case r.held():
		pool.Hold(k)
	default:
		pool.Rest(k, r.Free)
	}
}

// A choice is a key that is being taken, and the revision of the reservation
// that is there, 0 if there is none.
type choice[K ipam.Key] struct {
	key K
	rev store.Rev
}

// A shortage is why there is no choice.
type shortage[K ipam.Key] struct {
	use  ipam.Usage
	held []K // some of them
}

// A choosing is one search for a free key.
type choosing[K ipam.Key] struct {
	taken  *taken
	pool   func() *ipam.Pool[K] // called under the lock
	spans  []ipam.Span[K]
	record func(K) string // the key's reservation
}

// choose takes the first key of the spans that its reservation leaves open. In
// memory it is taken at once, until the edit turns out not to be committed.
// If all are taken it says so.
func (c choosing[K]) choose(e *edit) (choice[K], *shortage[K], error) {
	for {
		now := e.now()
		k, fresh, none, err := c.pick(e, now)
		if none != nil || err != nil {
			return choice[K]{}, none, err
		}
		read := get[nic.Reservation]
		if fresh {
			read = getNone[nic.Reservation]
		}
		r, rev, found, err := read(e, c.record(k))
		undo := func() {
			c.taken.mu.Lock()
			defer c.taken.mu.Unlock()
			note(c.pool(), k, resting{r.Free, r.Until}, !found)
			c.taken.doubt = true
		}
		if err == nil && (!found || r.OpenTo("", now)) {
			e.undo = append(e.undo, undo)
			return choice[K]{k, rev}, nil, nil
		}
		undo() // it has a holder, or rests longer than was known
		if err != nil {
			return choice[K]{}, nil, err
		}
	}
}

// pick takes a key in memory; fresh says that no record of it is known.
func (c choosing[K]) pick(e *edit, now time.Time) (k K, fresh bool, none *shortage[K], err error) {
	t := c.taken
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := c.pool().Pick(c.spans, now)
	if !t.live || !ok && t.doubt {
		if err := t.load(e.ctx, e.store); err != nil {
			return k, false, nil, err
		}
		k, ok = c.pool().Pick(c.spans, now)
	}
	if !ok {
		return k, false, &shortage[K]{c.pool().Use(c.spans, now), c.pool().Held(c.spans, ipam.MaxHolders)}, nil
	}
	fresh = t.live && !c.pool().Taken(k)
	c.pool().Hold(k) // so that nobody else in this process picks it
	return k, fresh, nil, nil
}

// use is how full spans of a space are.
func (t *taken) use(ctx context.Context, s store.Store, space string, spans []ipam.Span[netip.Addr]) (ipam.Usage, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.live {
		if err := t.load(ctx, s); err != nil {
			return ipam.Usage{}, err
		}
	}
	return poolOf(t.addrs, space).Use(spans, t.now()), nil
}

// due takes out the keys that are to be forgotten by now, and says when to look
// again.
func (t *taken) due(now time.Time) (keys []string, again time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if keys, t.next = t.ends.over(now); !t.next.IsZero() {
		t.next = t.next.Add(expireTogether)
		again = t.next.Sub(now)
	}
	return keys, again
}

// expireTogether is how long a reservation that is over may wait for others, so
// that many are forgotten in one go.
const expireTogether = time.Second
