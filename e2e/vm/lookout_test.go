//go:build linux

package vm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
)

// A lookout notes in each guest, by the kernel's control groups, which containers
// have processes and when.
type lookout struct {
	ctx    context.Context
	end    context.CancelFunc
	done   sync.WaitGroup
	clocks map[string]offset

	mu    sync.Mutex
	posts map[string]context.CancelFunc // by guest: ends what looks there
	stays map[string][]runs             // by guest
	errs  []error
}

// Runs is a time in which a container was seen to run.
type runs struct {
	id    string
	first time.Time // seen by then
	last  time.Time // seen until then; zero while it is
}

// An offset is by how much a guest's clock is ahead, and how far that may be wrong.
type offset struct{ ahead, wrong time.Duration }

// lookoutProgram is what looks in a guest; see its own words.
var lookoutProgram = sync.OnceValues(func() ([]byte, error) {
	path := filepath.Join(home, "lookout")
	cmd := exec.Command("go", "build", "-o", path, "./lookout")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build lookout: %w\n%s", err, out)
	}
	return os.ReadFile(path)
})

// lookout begins to look in all guests. close must follow.
func (r *rig) lookout() *lookout {
	r.t.Helper()
	l := &lookout{clocks: map[string]offset{}, posts: map[string]context.CancelFunc{}, stays: map[string][]runs{}}
	l.ctx, l.end = context.WithCancel(context.WithoutCancel(r.t.Context()))
	for _, n := range r.Nodes() {
		r.must(l.post(n))
	}
	return l
}

// post begins to look in a guest, also in one that is back.
func (l *lookout) post(n *cluster.Node) error {
	program, err := lookoutProgram()
	if err == nil {
		err = n.Put(l.ctx, "/run/lookout", 0o755, bytes.NewReader(program))
	}
	if err != nil {
		return err
	}
	clock, err := clockOf(l.ctx, n)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(l.ctx)
	l.mu.Lock()
	l.clocks[n.Name], l.posts[n.Name] = clock, end
	l.mu.Unlock()
	read, write := io.Pipe()
	cmd := n.Command(ctx, "/run/lookout")
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		end()
		return err
	}
	l.done.Go(func() { l.read(n.Name, clock, read) })
	l.done.Go(func() {
		err := cmd.Wait()
		write.Close()
		if ctx.Err() == nil {
			l.mu.Lock()
			l.errs = append(l.errs, fmt.Errorf("nobody looks in %s any more: %w", n.Name, errors.Join(err, errors.New("the look has ended"))))
			l.mu.Unlock()
		}
	})
	return nil
}

// clockOf compares the guest's clock with ours, by the quickest of some answers.
func clockOf(ctx context.Context, n *cluster.Node) (best offset, err error) {
	for range 5 {
		before := time.Now()
		out, err := n.Command(ctx, "date", "+%s%6N").Output()
		took := time.Since(before)
		if err != nil {
			return best, err
		}
		at, err := instant(strings.TrimSpace(string(out)))
		if err != nil {
			return best, err
		}
		if best.wrong == 0 || took/2 < best.wrong {
			best = offset{at.Sub(before.Add(took / 2)), took / 2}
		}
	}
	return best, nil
}

// instant reads microseconds since 1970.
func instant(text string) (time.Time, error) {
	micros, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMicro(micros), err
}

func (l *lookout) read(guest string, clock offset, from io.Reader) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) != 3 {
			continue
		}
		at, err := instant(words[2])
		at = at.Add(-clock.ahead)
		l.mu.Lock()
		if err != nil {
			l.errs = append(l.errs, err)
		} else if words[0] == "+" {
			l.stays[guest] = append(l.stays[guest], runs{id: words[1], first: at})
		} else {
			l.close(guest, words[1], at)
		}
		l.mu.Unlock()
	}
}

// close ends the open stays of a container, or of all if id is empty. The lock is
// held.
func (l *lookout) close(guest, id string, at time.Time) {
	for i := range l.stays[guest] {
		if s := &l.stays[guest][i]; s.last.IsZero() && (id == "" || s.id == id) {
			s.last = at
		}
	}
}

// lost notes that a guest has lost its power, before it does.
func (l *lookout) lost(n *cluster.Node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.posts[n.Name]()
	l.close(n.Name, "", time.Now())
}

// where are the guests in which any container runs, as last seen.
func (l *lookout) where() (guests []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for guest, stays := range l.stays {
		if slices.ContainsFunc(stays, func(s runs) bool { return s.last.IsZero() }) {
			guests = append(guests, guest)
		}
	}
	slices.Sort(guests)
	return guests
}

// both are the times at which containers were seen to run in two guests, beyond
// what the clocks may be wrong.
func (l *lookout) both() (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	guests := slices.Sorted(maps.Keys(l.stays))
	for i, a := range guests {
		for _, b := range guests[i+1:] {
			wrong := l.clocks[a].wrong + l.clocks[b].wrong
			for _, s := range l.stays[a] {
				for _, o := range l.stays[b] {
					if together := s.with(o, now); together > wrong {
						found = append(found, fmt.Sprintf("%.12s ran in %s, and %.12s in %s, %s together: %s and %s", s.id, a, o.id, b, together, s, o))
					}
				}
			}
		}
	}
	return found
}

// with is how long both ran, less than 0 if one did after the other.
func (s runs) with(o runs, now time.Time) time.Duration {
	begin, end := s.first, now
	if o.first.After(begin) {
		begin = o.first
	}
	for _, r := range []runs{s, o} {
		if !r.last.IsZero() && r.last.Before(end) {
			end = r.last
		}
	}
	return end.Sub(begin)
}

func (s runs) String() string {
	const clock = "15:04:05.000"
	return s.first.Format(clock) + " to " + s.last.Format(clock)
}

// stop ends all looking and returns what kept it from looking.
func (l *lookout) stop() error {
	l.end()
	l.done.Wait()
	return errors.Join(l.errs...)
}
