package proof

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

func distinct(text string) []string {
	var points []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !slices.Contains(points, line) {
			points = append(points, line)
		}
	}
	return points
}

// paces are the waits between two looks of the node at what is wanted of it. A
// life is lived at each in turn until the point is reached: which steps there
// are between two of the node's depends on them.
var paces = []time.Duration{
	3 * time.Millisecond, 20 * time.Millisecond, time.Millisecond, 60 * time.Millisecond, 8 * time.Millisecond,
	3 * time.Millisecond, 20 * time.Millisecond, time.Millisecond, 60 * time.Millisecond, 8 * time.Millisecond,
}

// F50: the controller is killed at each of its writes and calls, before it and
// after it. Another goes on, and nothing is lost, left or there twice. What a
// life with a pool has in common with one without is killed there alone, but
// for the long run.
func TestF50_CrashMatrix(t *testing.T) {
	for _, local := range []bool{false, true} {
		var done []string
		for _, of := range []kind{{local: local}, {local: local, pooled: true}, {local: local, moved: true}} {
			t.Run(of.String(), func(t *testing.T) {
				passed := crashMatrix(t, of, done)
				if !long() {
					done = append(done, passed...)
				}
			})
		}
	}
}

// crashMatrix kills lives of the kind at each point but those that are done,
// and returns the points that such lives pass.
func crashMatrix(t *testing.T, of kind, done []string) []string {
	steady, chance := pointsOf(t, of)
	all := slices.Concat(steady, chance)
	old := func(point string) bool { return slices.Contains(done, point) }
	steady, chance = slices.DeleteFunc(steady, old), slices.DeleteFunc(chance, old)
	var mu sync.Mutex
	hit, lucky := 0, 0
	t.Run("points", func(t *testing.T) {
		for i, point := range slices.Concat(steady, chance) {
			t.Run(fmt.Sprintf("%03d", i), func(t *testing.T) {
				t.Parallel()
				reached := killAt(t, of, point)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case reached && i < len(steady):
					hit++
				case reached:
					lucky++
				case i < len(steady):
					t.Errorf("in %d lives the controller did not come to: %s", len(paces), point)
				}
			})
		}
	})
	counts(t, "crash matrix (%s): hit %d of %d, and %d of %d that come by chance", of, hit, len(steady), lucky, len(chance))
	if hit != len(steady) || hit == 0 {
		t.Errorf("hit %d of %d points", hit, len(steady))
	}
	return all
}

// pointsOf lives three whole lives. What one of them alone has passed comes by
// chance: two writers met there. So do conditions: how long things take on a busy
// machine decides which of them are told.
func pointsOf(t *testing.T, of kind) (steady, chance []string) {
	t.Helper()
	times := map[string]int{}
	var all []string
	for _, pace := range paces[:3] {
		whole := newLife(t, of)
		whole.pace = pace
		if err := whole.live(); err != nil {
			t.Fatal(err)
		}
		points, err := whole.points()
		if err != nil {
			t.Fatal(err)
		}
		for _, point := range points {
			if times[point]++; times[point] == 1 {
				all = append(all, point)
			}
		}
	}
	for _, point := range all {
		if times[point] > 1 && !onlyTells(point) {
			steady = append(steady, point)
		} else {
			chance = append(chance, point)
		}
	}
	return steady, chance
}

// onlyTells says whether the point is at a commit that moves nothing of ours on:
// each record that it writes is as it was, but for its conditions, and for the
// state that the provider was seen in. How many looks fall into a change there
// is chance on a busy machine, and whether one is seen at all.
func onlyTells(point string) bool {
	_, writes, commits := strings.Cut(point, "commit ")
	for write := range strings.FieldsSeq(writes) {
		from, to, changes := strings.Cut(write, ">")
		if strings.ContainsAny(write, "+-") || changes && ours(from) != ours(to) {
			return false
		}
	}
	return commits
}

// seenStates are those that a provider's word has.
var seenStates = []nic.State{
	nic.StateCreating, nic.StateAvailable, nic.StateAttaching, nic.StateAttached,
	nic.StateDetaching, nic.StateDeleting, nic.StateFailed,
}

// ours is a value without the kind of its record and the provider's word.
func ours(value string) string {
	_, parts, _ := strings.Cut(value, "(")
	return strings.Join(slices.DeleteFunc(strings.Split(strings.TrimSuffix(parts, ")"), ","), func(part string) bool {
		return slices.Contains(seenStates, nic.State(part))
	}), ",")
}

// killAt lives lives until one has been killed at the point, and says whether
// one was.
func killAt(t *testing.T, of kind, point string) bool {
	t.Helper()
	for _, pace := range paces {
		l := newLife(t, of, point)
		l.pace = pace
		if err := l.live(); err != nil {
			t.Fatalf("killed %s: %v", point, err)
		}
		if l.hits > 0 {
			return true
		}
	}
	return false
}
