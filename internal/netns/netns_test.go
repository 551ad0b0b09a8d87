//go:build linux

package netns_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOpenTellsGoneFromOther(t *testing.T) {
	if _, err := netns.Open("/proc/0/ns/net"); !errors.Is(err, netns.ErrGone) {
		t.Errorf("missing path: got %v, want ErrGone", err)
	}
	// A bind mount whose namespace died leaves an empty file behind.
	stale := filepath.Join(t.TempDir(), "stale")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := netns.Open(stale); !errors.Is(err, netns.ErrGone) {
		t.Errorf("stale file: got %v, want ErrGone", err)
	}
}

func TestSysctlIsTheNamespacesOwn(t *testing.T) {
	a, b := netnstest.New(t), netnstest.New(t)
	key := []string{"ipv6", "conf", "default", "accept_ra"}
	if err := a.SetSysctl("0", key...); err != nil {
		t.Fatal(err)
	}
	if err := b.SetSysctl("2", key...); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Sysctl(key...); got != "0" || err != nil {
		t.Errorf("a: got %q, %v; want 0", got, err)
	}
	if err := a.SetSysctl("1", "ipv6", "..", "kernel"); err == nil {
		t.Error("a path part '..' was accepted")
	}
}

func TestSysctlIsSwapped(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	key := []string{"ipv6", "conf", "default", "accept_ra"}
	swap := func(value string) (was string) {
		err := ns.Sysctls(func(s netns.Sysctls) (err error) {
			was, err = s.Swap(value, key...)
			return err
		})
		if err != nil {
			t.Fatalf("swap for %q: %v", value, err)
		}
		return was
	}
	first := swap("2")
	for _, step := range []struct{ to, was string }{{"0", "2"}, {"0", "0"}, {first, "0"}} {
		if was := swap(step.to); was != step.was {
			t.Errorf("made %s, it was %q, want %q", step.to, was, step.was)
		}
		if now, err := ns.Sysctl(key...); now != step.to || err != nil {
			t.Errorf("it is %q (%v), want %s", now, err, step.to)
		}
	}
	err := ns.Sysctls(func(s netns.Sysctls) error {
		_, err := s.Swap("1", "ipv6", "conf", "none0", "accept_ra")
		return err
	})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a setting that is not there: %v, want that it is not", err)
	}
}

// F48: a thread that stays in a foreign namespace makes a later, unrelated
// goroutine act there.
func TestF48_ThreadsComeHome(t *testing.T) {
	home, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	ns := netnstest.New(t)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 156 { // 64 × 156 ≈ 10,000 visits
				err := ns.Do(func() error {
					here, err := netns.Current()
					if err != nil {
						return err
					}
					defer here.Close()
					if here.ID() != ns.ID() {
						return errors.New("Do ran outside the namespace")
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil || len(tasks) == 0 {
		t.Fatalf("list threads: %v, %v", tasks, err)
	}
	for _, task := range tasks {
		at, err := netns.Open(task)
		if errors.Is(err, netns.ErrGone) {
			continue // a thread that has just ended
		}
		if err != nil {
			t.Fatal(err)
		}
		if at.ID() != home.ID() {
			t.Errorf("%s is in %s, want %s", task, at.ID(), home.ID())
		}
		at.Close()
	}
}
