package conf

import (
	"maps"
	"reflect"

	"github.com/nicferry/nicferry/nic"
)

// A Controller is nicferryd.yaml, checked and with its defaults filled in.
type Controller struct {
	Socket string
	// SocketGroup may open the socket. Empty: DefaultSocketGroup if there is
	// such a group, else root. It is looked up when the socket is made.
	SocketGroup string
	Store       string
	Log         Log
	Providers   []Provider
	// Nodes are the machines that may join; nil lets any node join. Ask by
	// Instances.
	Nodes    map[string]Node
	Networks []nic.Network
}

// A Provider is a configured source of NICs. The field that its kind names is
// set, all others are nil.
type Provider struct {
	Name  string `yaml:"name,required"`
	Kind  string `yaml:"kind,required"`
	Local *Local `yaml:"local"`
}

// KindLocal is the provider whose NICs the node makes itself.
const KindLocal = "local"

var kinds = []string{KindLocal}

// Local is what a provider of the kind local is told.
type Local struct {
	// Slots is how many NICs a node may have of this provider.
	Slots int `yaml:"slots"`
}

// A Node is a machine that may join.
type Node struct {
	// Instances are the machine's ids at the providers, by provider.
	Instances map[string]nic.InstanceID `yaml:"instances"`
}

// controllerFile is the file as it is written.
type controllerFile struct {
	Version     int             `yaml:"version,required"`
	Socket      string          `yaml:"socket"`
	SocketGroup string          `yaml:"socketGroup"`
	Store       string          `yaml:"store"`
	Log         Log             `yaml:"log"`
	Providers   []Provider      `yaml:"providers,required"`
	Nodes       map[string]Node `yaml:"nodes"`
	Networks    []network       `yaml:"networks"`
}

// ParseController reads the text of a controller's file; file is its name in
// faults. An error is always [Faults], with every fault there is.
func ParseController(file string, data []byte) (*Controller, error) {
	d := newDoc(file)
	f := new(controllerFile)
	root := d.parse(data)
	if root == nil {
		return nil, d.err()
	}
	d.lines[""] = root.Line
	d.decode(root, reflect.ValueOf(f).Elem(), "")
	if !d.bad[""] {
		d.checkController(f)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	c := &Controller{
		Socket: f.Socket, SocketGroup: f.SocketGroup, Store: f.Store, Log: f.Log,
		Providers: f.Providers, Nodes: f.Nodes,
	}
	for _, n := range f.Networks {
		c.Networks = append(c.Networks, n.toNIC())
	}
	return c, nil
}

// Instances returns the ids of a node at the providers, and whether the node
// may join at all. At a provider of the kind local a node's id is its name
// unless the file gives another.
func (c *Controller) Instances(node string) (map[string]nic.InstanceID, bool) {
	n, ok := c.Nodes[node]
	if !ok && c.Nodes != nil {
		return nil, false
	}
	return n.instances(node, c.Providers), true
}

func (n Node) instances(name string, providers []Provider) map[string]nic.InstanceID {
	instances := map[string]nic.InstanceID{}
	for _, p := range providers {
		if p.Kind == KindLocal {
			instances[p.Name] = nic.InstanceID(name)
		}
	}
	maps.Copy(instances, n.Instances)
	return instances
}
