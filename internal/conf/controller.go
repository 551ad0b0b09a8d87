package conf

import (
	"maps"
	"reflect"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// A Controller is nicferryd.yaml, checked and with its defaults filled in.
type Controller struct {
	Socket string
	// SocketGroup may open the socket. Empty: DefaultSocketGroup if there is
	// such a group, else root. It is looked up when the socket is made.
	SocketGroup string
	// Listen is where agents on other machines come in; nil: the socket only.
	Listen *Listen
	// Store is the file of all records; empty where they are in Etcd.
	Store     string
	Etcd      *Etcd
	Log       Log
	Metrics   Metrics
	Sweep     Sweep
	Providers []Provider
	// Nodes are the machines that may join; nil lets any node join. Ask by
	// Instances.
	Nodes map[string]Node
	// Warnings are what may be wrong with the file.
	Warnings []Fault
	// Tenants are who may use the networks, besides the default one.
	Tenants  []nic.Tenant
	Networks []nic.Network
}

// A Provider is a configured source of NICs. The field that its kind names is
// set, all others are nil.
type Provider struct {
	Name    string   `yaml:"name,required"`
	Kind    string   `yaml:"kind,required"`
	Local   *Local   `yaml:"local"`
	Libvirt *Libvirt `yaml:"libvirt"`
	AWS     *AWS     `yaml:"aws"`
	Aliyun  *Aliyun  `yaml:"aliyun"`
}

// InCloud says whether a cloud makes the provider's NICs.
func (p Provider) InCloud() bool { return vendorOf(p.Kind) != nil }

// The kinds of provider.
const (
	KindLocal   = "local"   // the node itself makes its NICs
	KindLibvirt = "libvirt" // a hypervisor plugs them into running VMs
	KindAWS     = "aws"     // AWS makes them and attaches them to EC2 instances
	KindAliyun  = "aliyun"  // Alibaba Cloud makes them and attaches them to ECS instances
	KindSRIOV   = "sriov"   // they are virtual functions of the node's own cards
)

var kinds = []string{KindLocal, KindLibvirt, KindAWS, KindAliyun, KindSRIOV}

// Local is what a provider of the kind local is told.
type Local struct {
	// Slots is how many NICs a node may have of this provider.
	Slots int `yaml:"slots"`
}

// Libvirt is what a provider of the kind libvirt is told.
type Libvirt struct {
	// URI is the hypervisor's, as virsh -c takes it.
	URI string `yaml:"uri"`
}

// Listen is where the API is served over TLS.
type Listen struct {
	// Address is an IP address and a port; without an address in front of the
	// colon it is all of the machine's.
	Address string `yaml:"address,required"`
	// Names are further names and addresses of the controller, for its own
	// authority's certificate.
	Names []string `yaml:"names"`
	// CertificateLife is how long its own authority's certificates for agents are
	// good.
	CertificateLife nic.Duration `yaml:"certificateLife"`
	// Cert and Key are the controller's own pair, ClientCA what signs the
	// certificates of those who may connect: paths of PEM files, which are
	// read again at each connection. All three, or none: then the controller
	// uses its own authority.
	Cert     string `yaml:"cert"`
	Key      string `yaml:"key"`
	ClientCA string `yaml:"clientCA"`
}

// OwnAuthority says whether the controller makes all certificates itself.
func (l *Listen) OwnAuthority() bool { return l != nil && l.ClientCA == "" }

// Sweep is how often the records are compared with the providers and the nodes
// in the background.
type Sweep struct {
	Every nic.Duration `yaml:"every"`
	// Grace is how long a difference must have stood before it is mended.
	Grace nic.Duration `yaml:"grace"`
	Off   bool         `yaml:"off"`
}

// A Node is a machine that may join.
type Node struct {
	// Instances are the machine's ids at the providers, by provider.
	Instances map[string]nic.InstanceID `yaml:"instances"`
	// Tenants are whose containers it may run; ask by TenantsOf.
	Tenants []string `yaml:"tenants"`
}

// controllerFile is the file as it is written.
type controllerFile struct {
	Version     int             `yaml:"version,required"`
	Socket      string          `yaml:"socket"`
	SocketGroup string          `yaml:"socketGroup"`
	Listen      *Listen         `yaml:"listen"`
	Store       records         `yaml:"store"`
	Log         Log             `yaml:"log"`
	Metrics     Metrics         `yaml:"metrics"`
	Sweep       Sweep           `yaml:"sweep"`
	Providers   []Provider      `yaml:"providers,required"`
	Nodes       map[string]Node `yaml:"nodes"`
	Tenants     []tenant        `yaml:"tenants"`
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
		Socket: f.Socket, SocketGroup: f.SocketGroup, Listen: f.Listen, Store: f.Store.Path, Etcd: f.Store.etcd(), Log: f.Log, Metrics: f.Metrics, Sweep: f.Sweep,
		Providers: f.Providers, Nodes: f.Nodes, Warnings: d.warnings,
	}
	for _, t := range f.Tenants {
		c.Tenants = append(c.Tenants, t.toNIC())
	}
	for _, n := range f.Networks {
		c.Networks = append(c.Networks, n.toNIC())
	}
	return c, nil
}

// Instances returns the ids of a node at the providers, and whether the node
// may join at all. A node's id at a provider is its name unless the file gives
// another: a name or UUID of a domain at one of the kind libvirt. At one of a
// cloud it has none, unless its name is one.
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
		if v := vendorOf(p.Kind); slices.Contains(kinds, p.Kind) && (v == nil || v.instanceID.MatchString(name)) {
			instances[p.Name] = nic.InstanceID(name)
		}
	}
	maps.Copy(instances, n.Instances)
	return instances
}
