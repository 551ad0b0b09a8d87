package boltstore

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holder says who holds the file's lock, as far as /proc tells.
func holder(file *os.File) string {
	pid := lockPID(file)
	if pid == "" {
		return "another process"
	}
	name, err := os.ReadFile("/proc/" + pid + "/comm")
	if err != nil {
		return "process " + pid
	}
	return fmt.Sprintf("another %s (process %s)", strings.TrimSpace(string(name)), pid)
}

// lockPID looks the file up in /proc/locks, whose lines are like
//
//	1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
//
// Device numbers are in hex there. A process of another PID namespace is 0.
func lockPID(file *os.File) string {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return ""
	}
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(locks)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != id {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			return f[4]
		}
	}
	return ""
}
