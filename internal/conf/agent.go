package conf

import (
	"os"
	"reflect"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// An Agent is agent.yaml, checked and with its defaults filled in.
type Agent struct {
	// Node is this machine's name at the controller.
	Node string
	// Controllers are addresses of the one controller, tried in order; at least
	// one. CheckAddress has held each of them for good.
	Controllers []string
	// TLS is what https addresses need; nil: the identity is.
	TLS *TLS
	// IdentityDir is where the key and certificate of an agent that has joined
	// are.
	IdentityDir string
	// Given says which of node and controllers the file names. The others are
	// defaults, in whose place an identity's come.
	Given  Given
	Docker Docker
	// RunDir is where the agent keeps what must survive its restart but not
	// the machine's.
	RunDir string
	// Resync is how often all containers and NICs are looked at afresh.
	Resync nic.Duration
	// Moves: the agent carries out the controller's orders to make, start, stop and
	// remove containers, and to read and write what they have stored.
	Moves bool
	// SRIOV is which of the machine's cards are cut into virtual functions.
	SRIOV   SRIOV
	Log     Log
	Metrics Metrics
}

// SRIOV is which of a machine's cards are cut into virtual functions, VFs, and how
// these are named.
type SRIOV struct {
	// Separator parts the two numbers in all names of VFs.
	Separator bool `yaml:"separator"`
	// Cards are numbered from 1 in names; those that are not here come after them.
	Cards []Card `yaml:"cards"`
}

// A Card is one that is cut.
type Card struct {
	// PF is the name of its interface or its PCI address.
	PF string `yaml:"pf,required"`
	// VFs is how many it is to have at least; 0 leaves their number to others.
	VFs int `yaml:"vfs"`
}

// Numbering is how the machine's VFs are named.
func (s SRIOV) Numbering() sriov.Numbering {
	n := sriov.Numbering{Separator: s.Separator}
	for _, c := range s.Cards {
		n.Listed = append(n.Listed, c.PF)
	}
	return n
}

// Given says what an agent's file names.
type Given struct{ Node, Controllers bool }

// Docker says how the agent reaches the Docker daemon.
type Docker struct {
	Socket string `yaml:"socket"` // a path, without unix://
}

// TLS is a node's own pair, and what signs the controller's certificate: paths
// of PEM files, which are read again at each connection.
type TLS struct {
	CA   string `yaml:"ca,required"`
	Cert string `yaml:"cert,required"`
	Key  string `yaml:"key,required"`
}

// agentFile is the file as it is written.
type agentFile struct {
	Version     int          `yaml:"version,required"`
	Node        string       `yaml:"node"`
	Controllers []string     `yaml:"controllers"`
	TLS         *TLS         `yaml:"tls"`
	IdentityDir string       `yaml:"identityDir"`
	Docker      Docker       `yaml:"docker"`
	RunDir      string       `yaml:"runDir"`
	Resync      nic.Duration `yaml:"resync"`
	Moves       bool         `yaml:"moves"`
	SRIOV       SRIOV        `yaml:"sriov"`
	Log         Log          `yaml:"log"`
	Metrics     Metrics      `yaml:"metrics"`
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
		Node: f.Node, Controllers: f.Controllers, TLS: f.TLS, Docker: f.Docker,
		IdentityDir: f.IdentityDir, Given: Given{Node: d.given("node"), Controllers: d.given("controllers")},
		RunDir: f.RunDir, Resync: f.Resync, Moves: f.Moves, SRIOV: f.SRIOV, Log: f.Log, Metrics: f.Metrics,
	}, nil
}
