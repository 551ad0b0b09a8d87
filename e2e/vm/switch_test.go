//go:build linux

package vm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
)

// near is how soon after each other a MAC may not speak from here, from there, and
// from here again.
const near = time.Second

// A portLedger notes from which ports of the switch frames of a MAC come, as its
// kernel learns it.
type portLedger struct {
	mac  string
	cmd  *exec.Cmd
	end  context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	ports []heard
}

// Heard is from when on a MAC spoke from a port.
type heard struct {
	port string
	at   time.Time
}

// portsOf begins to note where the MAC speaks. stop must follow.
func (r *rig) portsOf(mac string) *portLedger {
	r.t.Helper()
	p := &portLedger{mac: mac}
	ctx, end := context.WithCancel(context.WithoutCancel(r.t.Context()))
	p.end = end
	p.cmd = r.Host().Command(ctx, "bridge", "monitor", "fdb")
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		end()
		r.t.Fatal(err)
	}
	p.done.Go(func() { p.read(out) })
	return p
}

// read takes lines such as "e2:4e:f0:70:04:25 dev vnet5 master lan0".
func (p *portLedger) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 5 || words[0] != p.mac || words[1] != "dev" || words[4] != cluster.LANBridge {
			continue
		}
		p.mu.Lock()
		if n := len(p.ports); n == 0 || p.ports[n-1].port != words[2] {
			p.ports = append(p.ports, heard{words[2], time.Now()})
		}
		p.mu.Unlock()
	}
}

// wrong are the times at which the MAC spoke from two ports at once.
func (p *portLedger) wrong() (found []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 2; i < len(p.ports); i++ {
		a, b, again := p.ports[i-2], p.ports[i-1], p.ports[i]
		if a.port == again.port && again.at.Sub(b.at) < near {
			found = append(found, fmt.Sprintf("%s spoke from %s, from %s, and %s later from %s again", p.mac, a.port, b.port, again.at.Sub(b.at), a.port))
		}
	}
	return found
}

func (p *portLedger) stop() {
	p.end()
	p.done.Wait()
	_ = p.cmd.Wait() // it is killed
}
