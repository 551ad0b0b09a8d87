//go:build linux

package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/nic"
)

// A Result is what a run has come to.
type Result struct {
	Seed    uint64 `json:"seed"`
	Nodes   int    `json:"nodes"`
	PerNode int    `json:"perNode"`
	Lives   int    `json:"lives"`
	// Started and Removed are how many containers have got their NIC, and how many are gone.
	Started int `json:"started"`
	Removed int `json:"removed"`
	// AtOnce is how many NICs there were at the peak.
	AtOnce int              `json:"atOnce"`
	Calls  map[string]Calls `json:"calls"`
	// Cold and Warm are how long containers waited for their NICs, in virtual time.
	Cold Waits `json:"cold"`
	Warm Waits `json:"warm"`
	// Spans are what the parts of the run have cost.
	Spans  []Span `json:"spans"`
	Digest string `json:"digest"`
	// Leaks are what is left at the end and should not be, and what broke a promise.
	Leaks   []string      `json:"leaks,omitempty"`
	Virtual time.Duration `json:"virtual"`
}

// Waits are quantiles of waits.
type Waits struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

func waitsOf(all []time.Duration) Waits {
	if len(all) == 0 {
		return Waits{}
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[min(len(all)-1, int(q*float64(len(all))))] }
	return Waits{len(all), at(0.5), at(0.9), at(0.99), all[len(all)-1]}
}

// PerLife is how many calls a container's life takes at the provider.
func (r Result) PerLife() float64 {
	all := 0
	for _, c := range r.Calls {
		all += c.Made
	}
	return float64(all) / float64(max(r.Lives, 1))
}

// Cost is the processor time that a container's life takes.
func (r Result) Cost() time.Duration {
	var all time.Duration
	for _, s := range r.Spans {
		all += s.CPU
	}
	return all / time.Duration(max(r.Lives, 1))
}

func (r *run) isWarm(life int) bool {
	return newDice(r.opts.Seed, life, "warm", 0).float() < r.opts.Warm
}

func (r *run) noted(claim nic.ClaimID, life int, warm bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.claims[claim] = life
	r.lives[life].asked, r.lives[life].warm = time.Since(r.begin), warm
}

// ended notes that a container is removed; its claim is remembered for the cloud's dice.
func (r *run) ended(_ nic.ClaimID, life int) {
	r.lives[life].ended = time.Since(r.begin)
	r.gone.Add(1)
}

// mostChecked is how many NICs there may be for a look at all of the records.
const mostChecked = 60_000

// atPeak looks at what must always hold while all containers run.
func (r *run) atPeak(ctx context.Context) error {
	if r.opts.Dump != "" {
		if err := dump(ctx, r.store, r.opts.Dump); err != nil {
			return err
		}
	}
	if r.cloud.count() > mostChecked {
		return nil
	}
	for _, f := range r.check(ctx) {
		r.failed(errors.New("while all run: " + f))
	}
	return nil
}

// check holds the records against the cloud.
func (r *run) check(ctx context.Context) (problems []string) {
	records, err := allocator.ReadRecords(ctx, r.store)
	if err != nil {
		return []string{err.Error()}
	}
	seen := invariant.Provider{}
	for _, id := range r.cloud.left() {
		r.cloud.mu.Lock()
		if at := r.cloud.nics[id]; at != nil {
			seen.NICs = append(seen.NICs, at.seen())
		}
		r.cloud.mu.Unlock()
	}
	found := invariant.Check(invariant.World{Now: time.Now(), Records: records, Providers: map[string]invariant.Provider{cloudName: seen}})
	for _, f := range found {
		problems = append(problems, f.String())
	}
	return problems
}

func (r *run) result(ctx context.Context, m *meter, atOnce int) (Result, error) {
	res := Result{
		Seed: r.opts.Seed, Nodes: r.opts.Nodes, PerNode: r.opts.PerNode, Lives: len(r.lives), Started: int(r.bound.Load()), Removed: int(r.gone.Load()),
		AtOnce: atOnce, Calls: r.cloud.calls(), Spans: m.spans, Virtual: time.Since(r.begin),
	}
	res.Leaks = r.leaks(ctx)
	var cold, warm []time.Duration
	for _, l := range r.lives {
		switch {
		case l.bound == 0:
		case l.warm:
			warm = append(warm, l.bound-l.asked)
		default:
			cold = append(cold, l.bound-l.asked)
		}
	}
	res.Cold, res.Warm = waitsOf(cold), waitsOf(warm)
	res.Digest = r.digest()
	return res, ctx.Err()
}

// leaks are what is there still, when all containers are gone, and what went wrong
// before: reserves are let be, and so is what is remembered of names.
func (r *run) leaks(ctx context.Context) (all []string) {
	for _, err := range r.failures {
		all = append(all, err.Error())
	}
	all = append(all, r.check(ctx)...)
	spare := map[nic.ID]bool{}
	views, err := r.alloc.NICs(ctx, "", 0)
	if err != nil {
		return append(all, err.Error())
	}
	for _, v := range views {
		if spare[v.ID] = v.Phase == nic.PhaseSpare && v.Network == warmNetwork; !spare[v.ID] {
			all = append(all, fmt.Sprintf("record of NIC %s, %s on %s, is left", v.ID, v.Phase, v.Node))
		}
	}
	for _, id := range r.cloud.left() {
		if !spare[id] {
			all = append(all, fmt.Sprintf("NIC %s is left in the cloud", id))
		}
	}
	records, _, err := r.store.List(ctx, "", "", 0)
	if err != nil {
		return append(all, err.Error())
	}
	kinds := map[string]int{}
	for _, rec := range records {
		kind, _, _ := strings.Cut(rec.Key, "/")
		switch kind {
		case "claim", "owner", "addr":
			kinds[kind]++
		}
	}
	for kind, n := range kinds {
		all = append(all, fmt.Sprintf("%d records %s/… are left", n, kind))
	}
	if n := len(r.lives) - int(r.bound.Load()); n > 0 {
		all = append(all, fmt.Sprintf("%d containers have never got a NIC", n))
	}
	slices.Sort(all)
	return all
}

// digest sums up what has become of each container, and what the cloud was made to
// change in all.
func (r *run) digest() string {
	h := sha256.New()
	for i, l := range r.lives {
		fmt.Fprintln(h, i, l.warm, l.asked, l.bound > 0, l.ended)
	}
	for _, verb := range []string{opCreate, opAttach, opDetach, opDelete} {
		c := r.cloud.calls()[verb]
		fmt.Fprintln(h, verb, c.Effects)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
