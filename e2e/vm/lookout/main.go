//go:build linux

// Command lookout prints when each container of a guest is first and last seen to
// have processes, by the kernel's control groups, for the tests of package vm. It
// errs on the side of too short: a first look is noted after it, a last one before.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// every is how often it looks.
const every = 50 * time.Millisecond

func main() {
	folder := "/sys/fs/cgroup/docker"
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	on := map[string]time.Time{} // by id: when it was seen last
	for {
		now := time.Now()
		entries, _ := os.ReadDir(folder) // there is none before the first container
		for _, e := range entries {
			if pids, err := os.ReadFile(filepath.Join(folder, e.Name(), "cgroup.procs")); !e.IsDir() || err != nil || len(pids) == 0 {
				continue
			}
			if _, known := on[e.Name()]; !known {
				say("+", e.Name(), time.Now())
			}
			on[e.Name()] = now
		}
		for id, last := range on {
			if last != now {
				say("-", id, last)
				delete(on, id)
			}
		}
		time.Sleep(every)
	}
}

// say prints one line, whose time is in microseconds since 1970.
func say(what, id string, at time.Time) {
	if _, err := fmt.Println(what, id, at.UnixMicro()); err != nil {
		os.Exit(1) // nobody listens any more
	}
}
