package allocator

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"unique"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// changes knows at which revision each node's wanted state last changed, so
// that agents can wait for the next change.
type changes struct {
	mu     sync.Mutex
	floor  store.Rev            // nothing before it is known: any older wait returns at once
	latest map[string]store.Rev // by node
	// sure is when a node has last had a reason to ask that it does not see in what is
	// wanted, or that is not looked up there.
	sure   map[string]store.Rev
	nics   map[nic.ID]keptMark
	claims map[string][sha256.Size]byte // of what of a claim its node is told, by key
	// moved are closed and dropped at the next change, by node, of those that somebody
	// waits for: a change of one node must not cost as much as there are others.
	moved map[string]chan struct{}
	// stirred is that for changes of NICs, claims and the nodes' words, each of
	// which a move may wait for.
	stirred chan struct{}
}

// A mark is what of a NIC's record others act on. A change of conditions alone
// moves nobody: otherwise noting a failure would wake the work that failed.
type mark struct {
	node          string
	phase         nic.Phase
	placed, clean bool
	unseen, reuse bool
	astray        int32
	state         nic.State
	device        nic.DeviceKind
	again         int
	holder        nic.ClaimID
	going         string
	turn          uint64
	former        string
}

func markOf(n nic.NIC) mark {
	return mark{
		node: n.Node, phase: n.Phase, placed: n.Placed, clean: n.Clean, unseen: unseen(n) != nil, reuse: n.Reuse,
		astray: int32(len(n.Astray)), state: n.Seen.State, device: n.Seen.Device.Kind, again: n.Again, holder: n.Holder,
		going: n.Going, turn: n.Turn, former: formerMark(n.Former),
	}
}

// A keptMark is a mark in memory. What each NIC has of its own is beside what many have
// alike.
type keptMark struct {
	alike  unique.Handle[mark]
	holder nic.ClaimID
	turn   uint64
}

func keep(m mark) keptMark {
	kept := keptMark{holder: m.holder, turn: m.turn}
	m.holder, m.turn = "", 0
	kept.alike = unique.Make(m)
	return kept
}

func (k keptMark) mark() mark {
	if k == (keptMark{}) {
		return mark{}
	}
	m := k.alike.Value()
	m.holder, m.turn = k.holder, k.turn
	return m
}

func newChanges() *changes {
	return &changes{
		latest: map[string]store.Rev{},
		sure:   map[string]store.Rev{},
		nics:   map[nic.ID]keptMark{},
		claims: map[string][sha256.Size]byte{},
		moved:  map[string]chan struct{}{},

		stirred: make(chan struct{}),
	}
}

// learn notes where a NIC is that was there before the watch.
func (c *changes) learn(n nic.NIC) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nics[n.ID] = keep(markOf(n))
}

// start says that everything up to rev has been read.
func (c *changes) start(rev store.Rev) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.floor = rev
	for node := range c.moved {
		c.announce(node)
	}
}

// see notes an event, and reports whether its record is one that the queue
// has to work on.
func (c *changes) see(e store.Event) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id, ok := strings.CutPrefix(e.Key, nicPrefix); ok {
		return c.seeNIC(nic.ID(id), e)
	}
	if node, ok := strings.CutPrefix(e.Key, nodePrefix); ok {
		c.call(node, e.Rev) // a new session: agents of older ones shall see; or a census is asked for
		return false
	}
	if rest, ok := strings.CutPrefix(e.Key, ownerRoot); ok && e.Gone {
		node, _, _ := strings.Cut(rest, "/")
		c.touch(node, e.Rev) // a claim has ended: its own event does not say where
		return false
	}
	if rest, ok := strings.CutPrefix(e.Key, taskRoot); ok {
		// Agents ask for their orders along with what is wanted. Only a new one is
		// news to them: what has become of it since they have said themselves.
		if task, err := store.DecodeJSON[nic.Task](e.Record); err == nil && task.State == nic.TaskPending {
			node, _, _ := strings.Cut(rest, "/")
			c.call(node, e.Rev)
		}
		return false
	}
	if strings.HasPrefix(e.Key, claimPrefix) {
		return c.seeClaim(e)
	}
	if strings.HasPrefix(e.Key, observedPrefix) {
		c.stir()
	}
	return false
}

func (c *changes) seeClaim(e store.Event) bool {
	defer c.stir()
	if e.Gone {
		delete(c.claims, e.Key)
		return true
	}
	claim, err := store.DecodeJSON[nic.Claim](e.Record)
	if err != nil {
		return true
	}
	_, known := c.claims[e.Key]
	if c.newWish(e, claim) {
		c.touch(claim.Owner.Node, e.Rev)
		if onMove(claim) {
			c.touch(claim.Move.To.Node, e.Rev)
		}
	}
	return known || !bornReady(claim)
}

// taskRoot is where the orders to nodes are, which are another room's.
const taskRoot = "task/"

func (c *changes) seeNIC(id nic.ID, e store.Event) bool {
	before := c.nics[id].mark()
	if e.Gone {
		delete(c.nics, id)
		c.touch(before.node, e.Rev)
		c.stir()
		return true
	}
	n, err := store.DecodeJSON[nic.NIC](e.Record)
	if err != nil || markOf(n) == before {
		return false
	}
	c.nics[id] = keep(markOf(n))
	if wishMark(before) != wishMark(markOf(n)) {
		c.touch(n.Node, e.Rev)
	}
	if before.node != n.Node {
		c.touch(before.node, e.Rev) // it has gone from there
	}
	c.stir()
	return before != mark{} || !bornPlugged(n)
}

// wishMark is what of a mark a node is told.
func wishMark(m mark) mark {
	return mark{node: m.node, phase: m.phase, device: m.device, again: m.again, holder: m.holder, going: m.going, turn: m.turn, former: m.former}
}

// newWish notes a claim, and reports whether its node may be told another thing of
// it than before. What it waits for is no such thing: agents ask for all that is
// wanted at every change, and on a move that is when they have other things to do.
func (c *changes) newWish(e store.Event, claim nic.Claim) bool {
	text, err := e.Value, error(nil)
	if len(claim.Conditions)+len(claim.Setbacks) > 0 {
		claim.Conditions, claim.Setbacks = nil, nil
		text, err = nic.Encode(claim) // as it would be in the record without them
	}
	sum := sha256.Sum256(text)
	before, known := c.claims[e.Key]
	c.claims[e.Key] = sum
	return err != nil || !known || before != sum
}

// touch notes that what is wanted of a node may have changed. The caller holds the
// lock.
func (c *changes) touch(node string, rev store.Rev) {
	if node != "" {
		c.latest[node] = rev
		c.announce(node)
	}
}

// tell is touch for who does not hold the lock.
func (c *changes) tell(node string, rev store.Rev) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touch(node, rev)
}

// call is touch for what the node is told of in any case.
func (c *changes) call(node string, rev store.Rev) {
	if node != "" {
		c.sure[node] = rev
	}
	c.touch(node, rev)
}

// stir wakes those who wait for NICs. The caller holds the lock.
func (c *changes) stir() {
	close(c.stirred)
	c.stirred = make(chan struct{})
}

// nextStir is closed at the next change of a NIC, a claim or a node's word.
func (c *changes) nextStir() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stirred
}

// announce wakes those who wait for a node. The caller holds the lock.
func (c *changes) announce(node string) {
	if moved, ok := c.moved[node]; ok {
		close(moved)
		delete(c.moved, node)
	}
}

// next is closed at the node's next change. The caller holds the lock.
func (c *changes) next(node string) <-chan struct{} {
	moved, ok := c.moved[node]
	if !ok {
		moved = make(chan struct{})
		c.moved[node] = moved
	}
	return moved
}

// wait returns the revision of the node's last change once it is newer than
// after, and whether the node is to be told of it in any case.
func (c *changes) wait(ctx context.Context, node string, after store.Rev) (rev store.Rev, sure bool, err error) {
	for {
		c.mu.Lock()
		rev, moved := max(c.floor, c.latest[node]), c.next(node)
		sure = max(c.floor, c.sure[node]) > after
		c.mu.Unlock()
		if rev > after {
			return rev, sure, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, false, ctx.Err()
		}
	}
}
