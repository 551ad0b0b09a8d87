package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Words of sd_notify(3).
const (
	wordReady    = "READY=1"
	wordStopping = "STOPPING=1"
	wordWatchdog = "WATCHDOG=1"
)

// tellTime bounds how long a word may take to be taken.
const tellTime = time.Second

// unwatched is how often a daemon's health is asked that nobody wants signs of
// life of. It is longer than what health itself waits for.
const unwatched = 15 * time.Second

// A Notifier tells the service manager how the daemon fares. Where none has
// started the daemon, or it did not ask, nothing is told and nothing fails: a
// word that is lost is logged, and the daemon's work goes on: none takes longer
// than a second, which is why this is not go-systemd's. It may be used
// concurrently.
type Notifier struct {
	log    *slog.Logger
	socket *net.UnixAddr // nil if nobody is to be told
	// every is the time between two signs of life; 0 if none are wanted.
	every time.Duration

	mu     sync.Mutex
	status string // what was told last
	lost   bool   // what was said last did not arrive
}

// NewNotifier reads from the environment who is to be told: the unix socket
// NOTIFY_SOCKET, which may be an abstract one; and, if WATCHDOG_PID is not
// another process, how often he wants a sign of life, WATCHDOG_USEC. One that
// is no number of microseconds is an error.
func NewNotifier(log *slog.Logger) (*Notifier, error) {
	n := &Notifier{log: log}
	if name := os.Getenv("NOTIFY_SOCKET"); name != "" {
		n.socket = &net.UnixAddr{Name: name, Net: "unixgram"}
	}
	limit, pid := os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	if limit == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil
	}
	usec, err := strconv.ParseUint(limit, 10, 50)
	if err != nil || usec == 0 {
		return nil, fmt.Errorf("read WATCHDOG_USEC, which the service manager sets: %q is no number of microseconds", limit)
	}
	n.every = time.Duration(usec) * time.Microsecond / 2
	return n, nil
}

// Ready says that the daemon has started, and what it does now.
func (n *Notifier) Ready(status string) { n.tell(wordReady, status) }

// Stopping says that the daemon has begun to end.
func (n *Notifier) Stopping() { n.tell(wordStopping, "stopping") }

// Status says in words what the daemon does, for `systemctl status`. To say
// the same again costs nothing.
func (n *Notifier) Status(status string) { n.tell("", status) }

// Watch gives a sign of life twice in each WATCHDOG_USEC for as long as health
// returns nil in time. Otherwise it says why not, and leaves it to the service
// manager to end a daemon that does not recover: a hung one holds what it
// holds. Where no signs are wanted health is asked all the same, every 15 s, for
// the log. Watch returns when ctx ends.
func (n *Notifier) Watch(ctx context.Context, health func(context.Context) error) {
	every, word := n.every, wordWatchdog
	if every == 0 {
		every, word = unwatched, ""
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	ill := false
	for {
		err := ask(ctx, every, health)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			n.log.Error("not well", "watchdog", n.every > 0, "err", err)
			n.Status("not well: " + err.Error())
			ill = true
		case ill:
			n.log.Info("well again")
			n.tell(word, "well again")
			ill = false
		default:
			n.tell(word, "")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask gives health no longer than until it is asked next.
func ask(ctx context.Context, every time.Duration, health func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, every)
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
	if len(lines) == 0 || n.socket == nil {
		return
	}
	err := n.send(strings.Join(lines, "\n"))
	if err != nil && !n.lost { // said once is enough
		n.log.Warn("service manager not told", "err", err)
	}
	if n.lost = err != nil; n.lost {
		return
	}
	if status != "" {
		n.status = status
	}
}

func (n *Notifier) send(message string) error {
	conn, err := net.DialUnix(n.socket.Net, nil, n.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(tellTime)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
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
