package conf

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// An Agent is agent.yaml, checked and with its defaults filled in.
type Agent struct {
	// Node is this machine's name at the controller.
	Node string
	// Controllers are addresses such as unix:///run/nicferry/nicferryd.sock,
	// tried in order; at least one. SocketPath reads them.
	Controllers []string
	Docker      Docker
	// RunDir is where the agent keeps what must survive its restart but not
	// the machine's.
	RunDir string
	// Resync is how often all containers and NICs are looked at afresh.
	Resync nic.Duration
	Log    Log
}

// Docker says how the agent reaches the Docker daemon.
type Docker struct {
	Socket string `yaml:"socket"` // a path, without unix://
}

// agentFile is the file as it is written.
type agentFile struct {
	Version     int          `yaml:"version,required"`
	Node        string       `yaml:"node"`
	Controllers []string     `yaml:"controllers"`
	Docker      Docker       `yaml:"docker"`
	RunDir      string       `yaml:"runDir"`
	Resync      nic.Duration `yaml:"resync"`
	Log         Log          `yaml:"log"`
}

// ParseAgent reads the text of an agent's file; file is its name in faults. An
// error is always [Faults], with every fault there is. If the file does not
// name the node, the machine's host name does.
func ParseAgent(file string, data []byte) (*Agent, error) {
	return parseAgent(file, data, os.Hostname)
}

func parseAgent(file string, data []byte, hostname func() (string, error)) (*Agent, error) {
	d := newDoc(file)
	f := new(agentFile)
	root := d.parse(data)
	if root == nil {
		return nil, d.err()
	}
	d.lines[""] = root.Line
	d.decode(root, reflect.ValueOf(f).Elem(), "")
	if !d.bad[""] {
		d.checkAgent(f, hostname)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return &Agent{
		Node: f.Node, Controllers: f.Controllers, Docker: f.Docker,
		RunDir: f.RunDir, Resync: f.Resync, Log: f.Log,
	}, nil
}

// SocketPath returns the path of a unix socket's address, unix:///run/x.sock.
func SocketPath(address string) (string, error) {
	scheme, path, ok := strings.Cut(address, "://")
	switch {
	case !ok && strings.HasPrefix(address, "/"):
		return "", fmt.Errorf("%s; did you mean %q?", quote(address), "unix://"+address)
	case !ok:
		return "", fmt.Errorf("%s; want an address such as %s", quote(address), DefaultControllerAddress)
	case scheme != "unix":
		return "", fmt.Errorf("%s; only unix:// is supported so far, TLS comes in a later release", quote(address))
	}
	return path, checkSocket(path)
}
