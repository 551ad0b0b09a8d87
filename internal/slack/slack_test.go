//go:build linux

package slack_test

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/slack"
)

func TestAllThreadsTakeIt(t *testing.T) {
	err := slack.Take()
	if errors.Is(err, os.ErrPermission) {
		t.Skip("needs CAP_SYS_NICE")
	}
	if err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile("/proc/" + thread.Name() + "/timerslack_ns")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if got, want := string(text), strconv.Itoa(int(slack.Late))+"\n"; err != nil || got != want {
			t.Errorf("thread %s: %q, %v; want %q", thread.Name(), got, err, want)
		}
	}
	if err := slack.Take(); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestLaterThreadsTakeAfterTheirMakers(t *testing.T) {
	if err := slack.Take(); err != nil {
		t.Skip(err)
	}
	made := make(chan int)
	for range 8 {
		go func() {
			runtime.LockOSThread() // and it ends with this goroutine
			now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
			if err != nil {
				now = -1
			}
			made <- now
		}()
	}
	for range 8 {
		if got := <-made; got != int(slack.Late) {
			t.Errorf("a thread has %d ns, want %d", got, slack.Late)
		}
	}
}
