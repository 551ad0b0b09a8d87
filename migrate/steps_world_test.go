//go:build linux

package migrate_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/board"
	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/relay"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

func sandbox(name string) string { return strings.Repeat("0", 60) + name }

// A world is a controller, a cloud and two nodes, in a bubble of virtual time. All
// but the engines, the cloud and what carries NICs on the nodes are the real parts.
type world struct {
	t     *testing.T
	store store.Store
	cloud *cloud
	nodes map[string]*node
	claim nic.ClaimID
	web   string // the container's id on vm1

	unswept bool // orders may be left that are over
	// byAddress: network lan has addresses go alone.
	byAddress bool

	engines sync.Mutex // of both nodes
	ctl     atomic.Pointer[controller]
	ended   sync.WaitGroup // of all that was started
	event   atomic.Pointer[func(what) error]
	commit  atomic.Pointer[func(ops []store.Op, done bool) error]
}

// what has just been done or is about to be.
type what struct {
	node  *node // nil where claims are changed
	task  nic.Task
	call  string // of the claims
	after bool
}

// A cloud is a fake that also knows which machines are off.
type cloud struct {
	*fake.Provider
	mu  sync.Mutex
	off map[nic.InstanceID]bool
}

// Off says whether a machine is off.
func (c *cloud) Off(_ context.Context, instance nic.InstanceID) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off[instance], nil
}

func (c *cloud) power(instance nic.InstanceID, off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off[instance] = off
}

// bubble runs test in a world where a container web runs on vm1 with a NIC, a
// volume and a writable layer.
func bubble(t *testing.T, travel provider.Travel, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := fake.Options{Travel: travel, Latency: fake.Latency{
			Create: 20 * time.Millisecond, Attach: 40 * time.Millisecond, Detach: 110 * time.Millisecond, Delete: 20 * time.Millisecond,
			Assign: 150 * time.Millisecond,
		}}
		if travel == provider.Readdress { // which is the network's doing, in a cloud that also carries NICs
			o.Travel, o.DrawsMACs, o.AddrsPerNIC = provider.Carry, true, 2
			o.Zones = map[nic.InstanceID]string{"vm1": "a", "vm2": "a"}
			o.Subnets = []fake.Subnet{{ID: "subnet-1", Zone: "a", Prefix: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1")}}
		}
		w := &world{
			t: t, nodes: map[string]*node{}, web: sandbox("a001"), byAddress: travel == provider.Readdress,
			cloud: &cloud{off: map[nic.InstanceID]bool{}, Provider: fake.New(o)},
		}
		w.store = &memory{memstore.New(memstore.Options{}), w}
		w.startController()
		for _, name := range []string{"vm1", "vm2"} {
			w.addNode(name)
		}
		for _, n := range w.nodes {
			n.start()
		}
		w.nodes["vm1"].boxes[w.web] = &box{id: w.web, name: "web", running: true, policy: "always", volumes: []string{"data"}, layer: "written"}
		w.nodes["vm1"].volumes["data"] = "kept"
		w.nodes["vm1"].images["sha256:1"] = true
		w.until(time.Minute, "both nodes have said hello", func() bool {
			nodes, err := w.alloc().Nodes(t.Context())
			return err == nil && len(nodes) == 2
		})
		owner := nic.Owner{Node: "vm1", Kind: nic.OwnerContainer, Sandbox: w.web, Interface: "eth0"}
		claim, err := w.alloc().Acquire(t.Context(), owner, "web", nic.Request{Interface: "eth0", Network: "lan", DefaultRoute: true})
		if err != nil {
			t.Fatal(err)
		}
		w.claim = claim.ID
		w.until(time.Minute, "web is reachable on vm1", func() bool { return w.reachable("vm1", w.web) })
		test(t, w)
		w.event.Store(nil)
		w.commit.Store(nil)
		for _, n := range w.nodes {
			n.stop()
		}
		w.ctl.Load().stop()
		w.ended.Wait()
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// until waits, and fails the test if that takes longer than it may.
func (w *world) until(within time.Duration, what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(within); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("within %v not: %s\n%s", within, what, w.tell())
		}
	}
}

// tell says how all is, for people.
func (w *world) tell() string {
	var b strings.Builder
	moves, _, err := store.ListJSON[nic.Move](w.t.Context(), w.store, "move/", "", 0)
	for _, r := range moves {
		m := r.Value
		fmt.Fprintf(&b, "move %s is %s: %s; %s\n", m.ID, m.Phase, m.Why, m.Remedy)
		for _, s := range m.Steps {
			fmt.Fprintf(&b, "  %-12s %-8s tries %d %s\n", s.Name, s.State, s.Tries, s.Error)
		}
	}
	claim, _, claimErr := store.GetJSON[nic.Claim](w.t.Context(), w.store, "claim/"+string(w.claim))
	at, whereErr := w.alloc().Whereabouts(w.t.Context(), []nic.ClaimID{w.claim})
	fmt.Fprintf(&b, "claim %s of %s, move %+v; NIC %+v (%v)\n", claim.Phase, claim.Owner, claim.Move, at, errors.Join(err, claimErr, whereErr))
	w.engines.Lock()
	defer w.engines.Unlock()
	for _, name := range []string{"vm1", "vm2"} {
		for _, c := range w.nodes[name].boxes {
			fmt.Fprintf(&b, "%s: %s %.4s running %v policy %s\n", name, c.name, c.id[60:], c.running, c.policy)
		}
	}
	return b.String()
}

// reachable: the container runs there, and its NIC is in.
func (w *world) reachable(node, id string) bool {
	w.engines.Lock()
	c := w.nodes[node].boxes[id]
	runs := c != nil && c.running
	w.engines.Unlock()
	at, err := w.alloc().Whereabouts(w.t.Context(), []nic.ClaimID{w.claim})
	return runs && err == nil && len(at) == 1 && at[0].Node == node && at[0].Seen == nic.ObservedIn && at[0].Running
}

// fire tells the test what happens. Its error stands for that of the effect.
func (w *world) fire(e what) error {
	if f := w.event.Load(); f != nil {
		return (*f)(e)
	}
	return nil
}

// one fails the test if the container runs on both nodes. The caller holds the lock.
func (w *world) one() {
	var runs []string
	for _, n := range w.nodes {
		for _, id := range n.runs() {
			if n.boxes[id].name == "web" {
				runs = append(runs, n.name)
			}
		}
	}
	if len(runs) > 1 {
		w.t.Errorf("it runs on %q at once", runs)
	}
}

// sound wants all that must always hold of records and cloud.
func (w *world) sound() {
	w.t.Helper()
	before, err := allocator.ReadRecords(w.t.Context(), w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	nics, err := w.cloud.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	after, err := allocator.ReadRecords(w.t.Context(), w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	err = invariant.Error(invariant.Check(invariant.World{
		Now: time.Now(), Records: after, Before: &before, Providers: map[string]invariant.Provider{"fake": {NICs: nics, DrawsMACs: w.byAddress}},
	}))
	if err != nil {
		w.t.Error(err)
	}
}

// A controller is one process of it.
type controller struct {
	ctx   context.Context
	alloc *allocator.Allocator
	board *board.Board
	relay *relay.Relay
	mover *migrate.Mover
	stop  context.CancelFunc
	over  chan struct{} // closed when all of it has ended
}

func (w *world) alloc() *allocator.Allocator { return w.ctl.Load().alloc }
func (w *world) mover() *migrate.Mover       { return w.ctl.Load().mover }

func (w *world) startController() {
	log := slog.New(slog.DiscardHandler)
	lan := nic.Network{
		Name: "lan", Provider: "fake", Addressing: nic.AddrIPAM, Space: "default", Hold: nic.Duration(time.Hour),
		Subnets: []nic.Subnet{{
			Prefix: netip.MustParsePrefix("10.0.0.0/24"),
			Ranges: []nic.Range{{First: netip.MustParseAddr("10.0.0.10"), Last: netip.MustParseAddr("10.0.0.19")}},
		}},
	}
	if w.byAddress {
		lan.Addressing, lan.Subnets, lan.Cloud = nic.AddrProvider, nil, nic.Cloud{Subnets: []string{"subnet-1"}, Movable: true}
	}
	alloc, err := allocator.New(allocator.Options{
		Store: w.store, Log: log, Providers: map[string]provider.Provider{"fake": w.cloud},
		Networks: []nic.Network{lan},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	c := &controller{alloc: alloc, board: board.New(board.Options{Store: w.store, Log: log}), relay: relay.New(relay.Options{}), over: make(chan struct{})}
	c.mover, err = migrate.New(migrate.Options{Store: w.store, Log: log, Parts: migrate.Parts{Claims: &claims{alloc, w}, Orders: c.board, Streams: c.relay}})
	if err != nil {
		w.t.Fatal(err)
	}
	var stop context.CancelFunc
	c.ctx, stop = context.WithCancel(w.t.Context())
	c.stop = stop
	var parts sync.WaitGroup
	for _, run := range []func(context.Context) error{alloc.Run, c.board.Run, c.mover.Run} {
		parts.Go(func() { _ = run(c.ctx) })
	}
	w.ended.Go(func() {
		parts.Wait()
		close(c.over)
	})
	w.ctl.Store(c)
}

// crashController ends the controller wherever it is, and has another one started
// soon. It does not wait for that.
func (w *world) crashController() {
	c := w.ctl.Load()
	c.stop()
	w.ended.Go(func() {
		<-c.over
		if w.t.Context().Err() == nil {
			w.startController()
		}
	})
}

// claims are the allocator's, with the test told of what changes them.
type claims struct {
	*allocator.Allocator
	w *world
}

func (c *claims) around(ctx context.Context, call string, do func() error) error {
	if err := c.w.fire(what{call: call}); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := do(); err != nil {
		return err
	}
	return c.w.fire(what{call: call, after: true})
}

func (c *claims) BeginMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, to, target string) (got []nic.Claim, err error) {
	err = c.around(ctx, "begin", func() error {
		got, err = c.Allocator.BeginMove(ctx, move, ids, to, target)
		return err
	})
	return got, err
}

func (c *claims) AimMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, sandbox string) error {
	return c.around(ctx, "aim", func() error { return c.Allocator.AimMove(ctx, move, ids, sandbox) })
}

func (c *claims) BringNICs(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, node string) error {
	return c.around(ctx, "bring", func() error { return c.Allocator.BringNICs(ctx, move, ids, node) })
}

func (c *claims) AwaitNICs(ctx context.Context, ids []nic.ClaimID, as func([]nic.Whereabouts) bool) error {
	return c.around(ctx, "await", func() error { return c.Allocator.AwaitNICs(ctx, ids, as) })
}

func (c *claims) FinishMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID) error {
	return c.around(ctx, "finish", func() error { return c.Allocator.FinishMove(ctx, move, ids) })
}

func (c *claims) CancelMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID) error {
	return c.around(ctx, "cancel", func() error { return c.Allocator.CancelMove(ctx, move, ids) })
}

// memory is a store that tells the test of commits, before and after.
type memory struct {
	store.Store
	w *world
}

func (m *memory) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	for _, op := range ops {
		if strings.Contains(string(op.Value), secret) {
			m.w.t.Errorf("a secret is in the store, in %s", op.Key)
		}
	}
	hook := m.w.commit.Load()
	if hook != nil {
		if err := (*hook)(ops, false); err != nil {
			return 0, err
		}
	}
	rev, err := m.Store.Commit(ctx, ops...)
	if err == nil && hook != nil {
		err = (*hook)(ops, true)
	}
	return rev, err
}

var errDown = errors.New("the controller does not answer")

// wire is how an agent reaches the controller, whichever runs at the time.
type wire struct {
	w       *world
	node    string
	mute    *atomic.Bool
	session uint64
}

// reach calls the controller, if it runs.
func (w *wire) reach(ctx context.Context, call func(context.Context, *controller) error) error {
	c := w.w.ctl.Load()
	if c.ctx.Err() != nil || w.mute.Load() {
		return errDown
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	err := call(ctx, c)
	if c.ctx.Err() != nil || w.mute.Load() {
		return errDown // a lost reply
	}
	return err
}

func (w *wire) Tasks(ctx context.Context, node string, session uint64) (tasks []nic.Task, err error) {
	err = w.reach(ctx, func(ctx context.Context, c *controller) error {
		tasks, err = c.board.Tasks(ctx, node, session)
		return err
	})
	return tasks, err
}

func (w *wire) BeginTask(ctx context.Context, node string, id nic.TaskID) (task nic.Task, err error) {
	err = w.reach(ctx, func(ctx context.Context, c *controller) error {
		task, err = c.board.Begin(ctx, id, node, w.session)
		return err
	})
	return task, err
}

func (w *wire) ProgressTask(ctx context.Context, node string, id nic.TaskID, bytes, total int64) error {
	return w.reach(ctx, func(ctx context.Context, c *controller) error {
		return c.board.Progress(ctx, id, node, w.session, bytes, total)
	})
}

func (w *wire) FinishTask(ctx context.Context, node string, id nic.TaskID, why string, result nic.TaskResult) error {
	return w.reach(ctx, func(ctx context.Context, c *controller) error {
		return c.board.Finish(ctx, id, node, w.session, why, result)
	})
}

func (w *wire) SendStream(ctx context.Context, node, stream string, body io.Reader) (nic.Copied, error) {
	sum := sha256.New()
	var bytes counter
	err := w.reach(ctx, func(ctx context.Context, c *controller) error {
		return c.relay.Send(ctx, stream, node, io.TeeReader(body, io.MultiWriter(sum, &bytes)))
	})
	return nic.Copied{Bytes: int64(bytes), SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

func (w *wire) TakeStream(ctx context.Context, node, stream string, to io.Writer) (nic.Copied, error) {
	sum := sha256.New()
	var bytes counter
	err := w.reach(ctx, func(ctx context.Context, c *controller) error {
		return c.relay.Take(ctx, stream, node, io.MultiWriter(to, sum, &bytes))
	})
	return nic.Copied{Bytes: int64(bytes), SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// A counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func superseded(err error) bool {
	var answer *api.Error
	return errors.As(err, &answer) && answer.Code == api.CodeConflict || errors.Is(err, allocator.ErrStale)
}

func refused(err error) bool {
	var answer *api.Error
	return errors.As(err, &answer) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid)
}

// all but one of them.
func other(node string) string {
	return []string{"vm2", "vm1"}[slices.Index([]string{"vm1", "vm2"}, node)]
}
