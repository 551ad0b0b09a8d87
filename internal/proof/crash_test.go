package proof

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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
// after it. Another goes on, and nothing is lost, left or there twice.
func TestF50_CrashMatrix(t *testing.T) {
	for _, kind := range []string{"cloud", "local"} {
		t.Run(kind, func(t *testing.T) { crashMatrix(t, kind == "local") })
	}
}

func crashMatrix(t *testing.T, isLocal bool) {
	whole := newLife(t, isLocal)
	whole.pace = paces[0]
	if err := whole.live(); err != nil {
		t.Fatal(err)
	}
	points, err := whole.points()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	hit := 0
	t.Run("points", func(t *testing.T) {
		for i, point := range points {
			t.Run(fmt.Sprintf("%03d", i), func(t *testing.T) {
				t.Parallel()
				for _, pace := range paces {
					l := newLife(t, isLocal, point)
					l.pace = pace
					if err := l.live(); err != nil {
						t.Fatalf("killed %s: %v", point, err)
					}
					if l.hits > 0 {
						mu.Lock()
						hit++
						mu.Unlock()
						return
					}
				}
				t.Errorf("in %d lives the controller did not come to: %s", len(paces), point)
			})
		}
	})
	counts(t, "crash matrix (%s): hit %d of %d", t.Name()[strings.LastIndex(t.Name(), "/")+1:], hit, len(points))
	if hit != len(points) || hit == 0 {
		t.Errorf("hit %d of %d points", hit, len(points))
	}
}
