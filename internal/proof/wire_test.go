package proof

import (
	"context"
	"errors"
	"net/netip"
	"net/rpc"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// The controller as a child serves it. Names and shapes are net/rpc's.
type served struct {
	alloc   *allocator.Allocator
	records store.Store
}

type (
	HelloArgs   struct{ Node string }
	AcquireArgs struct {
		Owner nic.Owner
		Name  string
		Req   nic.Request
	}
	ReleaseArgs struct {
		ID    nic.ClaimID
		Epoch uint64
	}
	ReportArgs struct {
		Node   string
		Report nic.NodeReport
	}
	WantedArgs struct {
		Node    string
		Session uint64
	}
	MoveArgs struct {
		Verb    string
		Move    nic.MoveID
		Claims  []nic.ClaimID
		To      string // a node
		Sandbox string
		Name    string
	}
	Nothing struct{}
)

func (s *served) Hello(a HelloArgs, reply *nic.Node) (err error) {
	*reply, err = s.alloc.Hello(context.Background(), a.Node, nic.Inventory{Boot: "b1"})
	return err
}

func (s *served) Acquire(a AcquireArgs, reply *nic.Claim) (err error) {
	*reply, err = s.alloc.Acquire(context.Background(), a.Owner, a.Name, a.Req)
	return err
}

func (s *served) Release(a ReleaseArgs, _ *Nothing) error {
	return s.alloc.Release(context.Background(), a.ID, a.Epoch)
}

func (s *served) Report(a ReportArgs, _ *Nothing) error {
	return s.alloc.Report(context.Background(), a.Node, a.Report)
}

func (s *served) Wanted(a WantedArgs, reply *[]nic.Wanted) (err error) {
	*reply, _, err = s.alloc.Wanted(context.Background(), a.Node, a.Session)
	return err
}

// Move does to claims what a move asks.
func (s *served) Move(m MoveArgs, _ *Nothing) (err error) {
	ctx := context.Background()
	switch m.Verb {
	case "begin":
		_, err = s.alloc.BeginMove(ctx, m.Move, m.Claims, m.To, m.Name)
	case "aim":
		err = s.alloc.AimMove(ctx, m.Move, m.Claims, m.Sandbox)
	case "bring":
		err = s.alloc.BringNICs(ctx, m.Move, m.Claims, m.To)
	case "finish":
		err = s.alloc.FinishMove(ctx, m.Move, m.Claims)
	case "cancel":
		err = s.alloc.CancelMove(ctx, m.Move, m.Claims)
	case "forget":
		err = s.alloc.ForgetMoved(ctx, m.To, m.Sandbox)
	}
	return err
}

// A Sight is what there is.
type Sight struct {
	In     []string // nodes of NICs that are in a container
	Claims []nic.Claim
	NICs   []nic.NIC
	Spares int // of the NICs, those in reserve that their node has
	Public int // records of public addresses
}

func (s *served) Look(_ Nothing, reply *Sight) error {
	ctx := context.Background()
	claims, err := s.alloc.Claims(ctx, "", 0)
	for _, v := range claims {
		reply.Claims = append(reply.Claims, v.Claim)
	}
	public, _, publicErr := s.records.List(ctx, "public/", "", 0)
	reply.Public = len(public)
	nics, nicsErr := s.alloc.NICs(ctx, "", 0)
	for _, v := range nics {
		reply.NICs = append(reply.NICs, v.NIC)
		if o := v.Observed; v.Phase == nic.PhaseSpare && o != nil && o.State == nic.ObservedMade && o.Turn == v.Turn {
			reply.Spares++
		}
		if o := v.Observed; v.Phase == nic.PhaseHeld && o != nil && o.State == nic.ObservedIn && o.Turn == v.Turn {
			reply.In = append(reply.In, v.Node)
		}
	}
	return errors.Join(err, nicsErr, publicErr)
}

// farController is a child's controller.
type farController struct{ client *rpc.Client }

// call gives every error as one that agents expect: the process at the other
// end is killed at any time.
func (f farController) call(method string, args, reply any) error {
	return f.client.Call("Controller."+method, args, reply)
}

func (f farController) Hello(_ context.Context, node string, _ nic.Inventory) (n nic.Node, err error) {
	err = f.call("Hello", HelloArgs{node}, &n)
	return n, err
}

func (f farController) Acquire(_ context.Context, owner nic.Owner, name string, req nic.Request) (c nic.Claim, err error) {
	err = f.call("Acquire", AcquireArgs{owner, name, req}, &c)
	return c, err
}

func (f farController) Release(_ context.Context, id nic.ClaimID, epoch uint64) error {
	return f.call("Release", ReleaseArgs{id, epoch}, &Nothing{})
}

func (f farController) Report(_ context.Context, node string, report nic.NodeReport) error {
	return f.call("Report", ReportArgs{node, report}, &Nothing{})
}

func (f farController) Wanted(_ context.Context, node string, session uint64) (w []nic.Wanted, _ uint64, err error) {
	err = f.call("Wanted", WantedArgs{node, session}, &w)
	return w, 0, err
}

// Move has the controller do what a move asks.
func (f farController) Move(m MoveArgs) error { return f.call("Move", m, &Nothing{}) }

// Look returns what there is.
func (f farController) Look() (s Sight, err error) {
	err = f.call("Look", Nothing{}, &s)
	return s, err
}

// The cloud as the test serves it to its children.
type servedCloud struct{ cloud *fake.Provider }

type (
	AttachArgs struct {
		ID    nic.ID
		Place nic.Place
	}
	DetachArgs struct {
		ID nic.ID
		At nic.InstanceID
	}
	PublishArgs struct {
		Claim nic.ClaimID
		ID    nic.ID
	}
	CloudReply struct {
		Addr       netip.Addr
		Public     map[nic.ClaimID]netip.Addr
		Kind, Text string // of the error
		Seen       nic.Seen
		All        map[nic.ID]nic.Seen
		List       []nic.Seen
		Limits     provider.Limits
	}
)

// kindOf is the name of an error's kind.
func kindOf(err error) string {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return provider.ErrUnknown.Error()
}

func (r *CloudReply) fail(err error) error {
	if err != nil {
		r.Kind, r.Text = kindOf(err), err.Error()
	}
	return nil
}

func (s *servedCloud) Create(spec nic.Spec, r *CloudReply) (err error) {
	r.Seen, err = s.cloud.Create(context.Background(), spec)
	return r.fail(err)
}

func (s *servedCloud) Attach(a AttachArgs, r *CloudReply) (err error) {
	r.Seen, err = s.cloud.Attach(context.Background(), a.ID, a.Place)
	return r.fail(err)
}

func (s *servedCloud) Detach(a DetachArgs, r *CloudReply) error {
	return r.fail(s.cloud.Detach(context.Background(), a.ID, a.At))
}

func (s *servedCloud) Delete(id nic.ID, r *CloudReply) error {
	return r.fail(s.cloud.Delete(context.Background(), id))
}

func (s *servedCloud) Get(ids []nic.ID, r *CloudReply) (err error) {
	r.All, err = s.cloud.Get(context.Background(), ids...)
	return r.fail(err)
}

func (s *servedCloud) List(_ Nothing, r *CloudReply) (err error) {
	r.List, err = s.cloud.List(context.Background())
	return r.fail(err)
}

func (s *servedCloud) Limits(at nic.InstanceID, r *CloudReply) (err error) {
	r.Limits, err = s.cloud.Limits(context.Background(), at)
	return r.fail(err)
}

func (s *servedCloud) Publish(a PublishArgs, r *CloudReply) (err error) {
	r.Addr, err = s.cloud.Publish(context.Background(), a.Claim, a.ID)
	return r.fail(err)
}

func (s *servedCloud) Unpublish(claim nic.ClaimID, r *CloudReply) error {
	return r.fail(s.cloud.Unpublish(context.Background(), claim))
}

func (s *servedCloud) Published(_ Nothing, r *CloudReply) (err error) {
	r.Public, err = s.cloud.Published(context.Background())
	return r.fail(err)
}

// farCloud is the cloud as a child sees it.
type farCloud struct {
	client *rpc.Client
	draws  bool // MACs
}

func (f *farCloud) call(method string, args any) (CloudReply, error) {
	var r CloudReply
	if err := f.client.Call("Cloud."+method, args, &r); err != nil {
		return r, &provider.Error{Kind: provider.ErrUnknown, Op: method, Err: err}
	}
	for _, kind := range kinds {
		if r.Kind == kind.Error() {
			return r, &provider.Error{Kind: kind, Op: method, Err: errors.New(r.Text)}
		}
	}
	return r, nil
}

func (f *farCloud) Info() provider.Info {
	return provider.Info{Name: cloudName, Kind: fake.Kind, Travel: provider.Carry, WorstCall: time.Second, DrawsMACs: f.draws}
}

func (f *farCloud) Create(_ context.Context, spec nic.Spec) (nic.Seen, error) {
	r, err := f.call("Create", spec)
	return r.Seen, err
}

func (f *farCloud) Attach(_ context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	r, err := f.call("Attach", AttachArgs{id, place})
	return r.Seen, err
}

func (f *farCloud) Detach(_ context.Context, id nic.ID, at nic.InstanceID) error {
	_, err := f.call("Detach", DetachArgs{id, at})
	return err
}

func (f *farCloud) Delete(_ context.Context, id nic.ID) error {
	_, err := f.call("Delete", id)
	return err
}

func (f *farCloud) Get(_ context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	r, err := f.call("Get", ids)
	return r.All, err
}

func (f *farCloud) List(context.Context) ([]nic.Seen, error) {
	r, err := f.call("List", Nothing{})
	return r.List, err
}

func (f *farCloud) Limits(_ context.Context, at nic.InstanceID) (provider.Limits, error) {
	r, err := f.call("Limits", at)
	return r.Limits, err
}

func (f *farCloud) Publish(_ context.Context, claim nic.ClaimID, id nic.ID) (netip.Addr, error) {
	r, err := f.call("Publish", PublishArgs{claim, id})
	return r.Addr, err
}

func (f *farCloud) Unpublish(_ context.Context, claim nic.ClaimID) error {
	_, err := f.call("Unpublish", claim)
	return err
}

func (f *farCloud) Published(context.Context) (map[nic.ClaimID]netip.Addr, error) {
	r, err := f.call("Published", Nothing{})
	return r.Public, err
}
