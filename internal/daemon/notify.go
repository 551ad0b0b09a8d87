package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A Notifier tells the service manager how the daemon fares. Where none has
// started the daemon, or it did not ask, nothing is told and nothing fails: a
// word that is lost is logged, and the daemon's work goes on. It may be used
// concurrently.
type Notifier struct {
	log *slog.Logger
	// every is the time between two signs of life; 0 if none are wanted.
	every time.Duration

	mu     sync.Mutex
	status string // what was told last
}

// NewNotifier reads from the environment who is to be told: the unix socket
// NOTIFY_SOCKET, which may be an abstract one, and how often he wants a sign
// of life, WATCHDOG_USEC. A WATCHDOG_USEC that is no number is an error.
func NewNotifier(log *slog.Logger) (*Notifier, error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return nil, fmt.Errorf("read WATCHDOG_USEC, which the service manager sets: %w", err)
	}
	return &Notifier{log: log, every: limit / 2}, nil
}

// Ready says that the daemon has started, and what it does now.
func (n *Notifier) Ready(status string) { n.tell(daemon.SdNotifyReady, status) }

// Stopping says that the daemon has begun to end.
func (n *Notifier) Stopping() { n.tell(daemon.SdNotifyStopping, "stopping") }

// Status says in words what the daemon does, for `systemctl status`. To say
// the same again costs nothing.
func (n *Notifier) Status(status string) { n.tell("", status) }

// Watch gives a sign of life twice in each WATCHDOG_USEC for as long as health
// returns nil in time. Otherwise it says why not, and leaves it to the service
// manager to end a daemon that does not recover: a hung one holds what it
// holds. Watch returns when ctx ends, or at once if no signs are wanted.
func (n *Notifier) Watch(ctx context.Context, health func(context.Context) error) {
	if n.every == 0 {
		return
	}
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	ill := false
	for {
		err := n.ask(ctx, health)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			n.log.Error("not well, no sign of life to the service manager", "err", err)
			n.Status("not well: " + err.Error())
			ill = true
		case ill:
			n.log.Info("well again")
			n.tell(daemon.SdNotifyWatchdog, "well again")
			ill = false
		default:
			n.tell(daemon.SdNotifyWatchdog, "")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask gives health no longer than until the next sign is due.
func (n *Notifier) ask(ctx context.Context, health func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, n.every)
	defer cancel()
	return health(ctx)
}

// tell sends a word, and a status if it is new.
func (n *Notifier) tell(word, status string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if status == n.status {
		status = ""
	}
	var lines []string
	if word != "" {
		lines = append(lines, word)
	}
	if status != "" {
		lines = append(lines, "STATUS="+oneLine(status))
	}
	if len(lines) == 0 {
		return
	}
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		n.log.Warn("service manager not told", "err", err)
		return
	}
	if status != "" {
		n.status = status
	}
}

// oneLine keeps an error's text from becoming words of its own.
func oneLine(s string) string {
	const most = 200 // of its bytes, for people
	clean := []byte(s)
	if len(clean) > most {
		clean = clean[:most]
	}
	for i, c := range clean {
		if c < ' ' || c == 0x7f {
			clean[i] = ' '
		}
	}
	return string(clean)
}
