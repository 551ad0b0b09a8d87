package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/local"
)

// powerEnv has this test binary be a controller that gives claims, and says on its
// standard output what it has been told is durable.
const powerEnv = "NICFERRY_PROOF_POWER"

// A powerJob is what that child is told.
type powerJob struct {
	Store            string
	Clients, PerHead int
	Careless         bool // it does not sync
	Faults           bool // its disk fails: what it is refused is no fault of it
}

// A word is what it says: a commit that has been acknowledged, or a claim.
type word struct {
	Rev   store.Rev  `json:"rev,omitempty"`
	Ops   []store.Op `json:"ops,omitempty"`
	Claim *nic.Claim `json:"claim,omitempty"`
}

// A telling store says what has been acknowledged.
type telling struct {
	store.Store
	say func(word)
}

func (s telling) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	rev, err := s.Store.Commit(ctx, ops...)
	if err == nil && slices.ContainsFunc(ops, store.Op.Writes) {
		s.say(word{Rev: rev, Ops: ops})
	}
	return rev, err
}

func (s telling) Lead(ctx context.Context, name string) (store.Term, error) {
	term, err := s.Store.Lead(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := s.Store.Get(ctx, store.LeaderPrefix+name)
	s.say(word{Rev: r.Rev, Ops: []store.Op{store.Create(r.Key, r.Value)}})
	return term, err
}

func runPower(text string) int {
	var j powerJob
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		err = j.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// run ends as by a power cut: nothing is closed.
func (j powerJob) run(ctx context.Context) error {
	bolt, err := boltstore.Open(ctx, j.Store, boltstore.Options{NoSync: j.Careless})
	if j.Faults && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	records := telling{bolt, func(w word) {
		line, err := json.Marshal(w)
		if err != nil {
			panic(err)
		}
		os.Stdout.Write(append(line, '\n'))
	}}
	p, err := local.New(local.Options{
		Name: cloudName, Ledger: allocator.NewLedger(records, cloudName), Nodes: allocator.NewNodes(records, cloudName),
	})
	if err != nil {
		return err
	}
	networks := lifeNetworks(nic.Pool{}, false)
	networks[0].Subnets[0].Ranges[0].Last = netip.MustParseAddr("10.0.0.250")
	alloc, err := allocator.New(allocator.Options{
		Store: records, Providers: map[string]provider.Provider{cloudName: p}, Networks: networks[:1],
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	go func() { _ = alloc.Run(ctx) }()
	claims, err := j.acquire(ctx, alloc, records.say)
	if j.Faults {
		return nil
	}
	if err != nil {
		return err
	}
	return untilReady(ctx, bolt, claims)
}

// acquire has clients ask for claims, all at once, and say which they have.
func (j powerJob) acquire(ctx context.Context, alloc *allocator.Allocator, say func(word)) (int, error) {
	var wg sync.WaitGroup
	failed := make([]error, j.Clients)
	for c := range j.Clients {
		wg.Go(func() {
			node := fmt.Sprintf("node-%d", c)
			if _, err := alloc.Hello(ctx, node, nic.Inventory{Boot: "b"}); err != nil {
				failed[c] = err
				return
			}
			for i := range j.PerHead {
				owner := nic.Owner{Node: node, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", i), Interface: "eth0"}
				claim, err := alloc.Acquire(ctx, owner, fmt.Sprintf("c%d", i), nic.Request{Interface: "eth0", Network: "life", DefaultRoute: true})
				if err != nil {
					failed[c] = errors.Join(failed[c], err)
					continue
				}
				say(word{Claim: &claim})
			}
		})
	}
	wg.Wait()
	return j.Clients * j.PerHead, errors.Join(failed...)
}

// untilReady waits until so many claims have their NICs.
func untilReady(ctx context.Context, s store.Store, claims int) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	watch, err := s.Watch(ctx, "claim/", 0)
	if err != nil {
		return err
	}
	for ready := map[string]bool{}; len(ready) < claims; {
		events, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range events {
			if claim, err := store.DecodeJSON[nic.Claim](e.Record); err == nil && claim.Phase == nic.ClaimReady {
				ready[e.Key] = true
			}
		}
	}
	return nil
}

// A cut is what is checked of power cuts: the images that a disk may be left with.
type cut struct {
	t      *testing.T
	path   string              // of the store
	dir    string              // where images are opened
	model  map[store.Rev]word  // commits by revision
	states []map[string]string // by revision, as far as all commits are known
	opened map[[sha256.Size]byte]store.Rev
	random *rand.Rand

	least  store.Rev // that was acknowledged
	claims []nic.Claim
	images int
	wrong  error // the first
}

// learn makes the model: what the records are at each revision.
func (c *cut) learn(acts []act) {
	c.model = map[store.Rev]word{}
	for _, a := range acts {
		for _, w := range words(a) {
			if w.Rev > 0 {
				c.model[w.Rev] = w
			}
		}
	}
	c.states = []map[string]string{{}}
	for rev := store.Rev(1); ; rev++ {
		w, known := c.model[rev]
		if !known {
			return
		}
		now := make(map[string]string, len(c.states[rev-1])+len(w.Ops))
		for k, v := range c.states[rev-1] {
			now[k] = v
		}
		for _, op := range w.Ops {
			switch op.Kind {
			case store.OpPut:
				now[op.Key] = fmt.Sprintf("%d %s", rev, op.Value)
			case store.OpDelete:
				delete(now, op.Key)
			}
		}
		c.states = append(c.states, now)
	}
}

// words are what was said, if that is what the act is.
func words(a act) (said []word) {
	if a.call != "write" || a.path != "" {
		return nil
	}
	for line := range strings.Lines(string(a.data)) {
		var w word
		if json.Unmarshal([]byte(line), &w) == nil {
			said = append(said, w)
		}
	}
	return said
}

// everywhere cuts the power after each act, and between two syncs with each subset of
// what is pending, or with some where there are many.
func (c *cut) everywhere(acts []act) {
	d := newDisk()
	for i, a := range acts {
		f := d.files[c.path]
		if sync := a.call == "fdatasync" || a.call == "fsync"; sync && a.path == c.path && f != nil {
			c.subsets(i, f)
		}
		d.do(a)
		for _, w := range words(a) {
			c.least = max(c.least, w.Rev)
			if w.Claim != nil {
				c.claims = append(c.claims, *w.Claim)
			}
		}
		if c.least > 0 && !d.synced[filepath.Dir(c.path)] {
			c.note(i, errors.New("a commit was acknowledged before the file's name was durable"))
		}
		if f = d.files[c.path]; f == nil || a.path != c.path && a.to != c.path && len(words(a)) == 0 {
			continue
		}
		for _, content := range f.sure {
			c.check(i, with(content, f.pending, all))
			if len(words(a)) > 0 { // what was said must be there whatever is pending
				c.check(i, content)
			}
		}
	}
}

// fewPending is of how many pending acts each subset is tried.
const fewPending = 4

func (c *cut) subsets(i int, f *file) {
	for _, content := range f.sure {
		if len(f.pending) <= fewPending {
			for set := range 1 << len(f.pending) {
				c.check(i, with(content, f.pending, func(act, _ int) bool { return set>>act&1 == 1 }))
			}
		}
		for range c.tries() {
			set := c.random.Uint64()
			c.check(i, with(content, f.pending, func(act, _ int) bool { return set>>(act%64)&1 == 1 }))
			c.check(i, with(content, f.pending, func(int, int) bool { return c.random.IntN(4) > 0 })) // writes cut in two
		}
	}
}

func (c *cut) tries() int {
	if long() {
		return 16
	}
	return 2
}

// check opens what a power cut may have left.
func (c *cut) check(i int, image []byte) {
	if c.wrong != nil {
		return
	}
	sum := sha256.Sum256(bytes.TrimRight(image, "\x00")) // what the file was grown by is nothing
	rev, known := c.opened[sum]
	if !known {
		c.images++
		var err error
		if rev, err = c.open(image); err != nil {
			c.note(i, err)
			return
		}
		c.opened[sum] = rev
	}
	if rev < c.least {
		c.note(i, fmt.Errorf("the store is at revision %d, and %d was acknowledged", rev, c.least))
		return
	}
	if int(rev) >= len(c.states) {
		return // beyond what was acknowledged before the end
	}
	for _, claim := range c.claims {
		if why := half(c.states[rev], claim); why != "" {
			c.note(i, fmt.Errorf("claim %s: %s", claim.ID, why))
		}
	}
}

// open returns the revision of a store whose records are what they were at that.
func (c *cut) open(image []byte) (store.Rev, error) {
	path := filepath.Join(c.dir, "image.db")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		return 0, err
	}
	ctx := context.Background()
	s, err := boltstore.Open(ctx, path, boltstore.Options{NoSync: true})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	records, rev, err := s.List(ctx, "", "", 0)
	if err != nil || int(rev) >= len(c.states) {
		return rev, err
	}
	want := c.states[rev]
	for _, r := range records {
		if want[r.Key] != fmt.Sprintf("%d %s", r.Rev, r.Value) {
			return 0, fmt.Errorf("at revision %d record %s is %d %s, not %s", rev, r.Key, r.Rev, r.Value, want[r.Key])
		}
	}
	if len(records) != len(want) {
		return 0, fmt.Errorf("at revision %d there are %d records, not %d", rev, len(records), len(want))
	}
	return rev, nil
}

// half says what is missing of a claim that was acknowledged.
func half(records map[string]string, claim nic.Claim) string {
	keys := []string{"claim/" + string(claim.ID), "owner/" + claim.Owner.Key(), "mac/" + claim.Identity.MAC.String(), "nic/" + string(claim.NIC)}
	for _, addr := range claim.Identity.Addrs {
		keys = append(keys, "addr/"+claim.Identity.Space+"/"+addr.Addr().String())
	}
	for _, key := range keys {
		if _, ok := records[key]; !ok {
			return "record " + key + " is missing"
		}
	}
	return ""
}

func (c *cut) note(i int, err error) {
	if c.wrong == nil {
		c.wrong = fmt.Errorf("power cut after call %d: %w", i, err)
	}
}

// cutPower records a run and cuts its power everywhere.
func cutPower(t *testing.T, j powerJob, inject string) (*cut, []act) {
	t.Helper()
	j.Store = filepath.Join(t.TempDir(), "store.db")
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	acts := recordActs(t, powerEnv+"="+string(text), inject)
	c := &cut{
		t: t, path: j.Store, dir: t.TempDir(), opened: map[[sha256.Size]byte]store.Rev{},
		random: rand.New(rand.NewPCG(7, 7)),
	}
	c.learn(acts)
	c.everywhere(acts)
	return c, acts
}

func powerRun() powerJob {
	j := powerJob{Clients: 4, PerHead: 4}
	if long() {
		j = powerJob{Clients: 16, PerHead: 6}
	}
	return j
}

// P7: whenever the power is cut, no claim is lost that was acknowledged, and none is
// there by half. The calls are the kernel's of a real controller's run; of those between
// two syncs any may be missing, down to a sector.
func TestP7_APowerCutLosesNoClaim(t *testing.T) {
	t.Parallel()
	j := powerRun()
	c, acts := cutPower(t, j, "")
	if c.wrong != nil {
		t.Error(c.wrong)
	}
	if want := j.Clients * j.PerHead; len(c.claims) != want || len(c.model) < j.PerHead || c.images < 3*len(c.model) {
		t.Errorf("%d claims were acknowledged in %d commits, want %d, and %d images were opened: the test shows less than it says", len(c.claims), len(c.model), want, c.images)
	}
	counts(t, "power cuts: %d calls of the kernel, %d commits, %d claims, %d images of the disk", len(acts), len(c.model), len(c.claims), c.images)
}

// P7: a sync that fails loses nothing that was acknowledged, though the disk never has
// what it was to write; and nothing is acknowledged on top of it that could be lost.
func TestP7_AFailedSyncLosesNoClaim(t *testing.T) {
	t.Parallel()
	failed, images, claims := 0, 0, 0
	for _, at := range []int{3, 6, 9, 12} { // of each thread
		j := powerRun()
		j.Faults = true
		c, acts := cutPower(t, j, fmt.Sprintf("fdatasync:error=EIO:when=%d", at))
		if c.wrong != nil {
			t.Errorf("sync %d fails: %v", at, c.wrong)
		}
		for _, a := range acts {
			if a.call == "fdatasync" && a.failed {
				failed++
			}
		}
		images, claims = images+c.images, claims+len(c.claims)
	}
	if failed == 0 || claims == 0 {
		t.Errorf("%d syncs failed, and %d claims were acknowledged: the test shows less than it says", failed, claims)
	}
	counts(t, "failed syncs: %d, %d claims, %d images of the disk", failed, claims, images)
}

// A store that does not sync is caught.
func TestACarelessDiskIsCaught(t *testing.T) {
	t.Parallel()
	j := powerRun()
	j.Careless = true
	if c, _ := cutPower(t, j, ""); c.wrong == nil {
		t.Errorf("after %d power cuts nothing was missed", c.images)
	}
}
