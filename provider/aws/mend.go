package aws

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

const (
	// mendAgain is when an attachment is mended again that still shows no sign of it.
	mendAgain = 30 * time.Second
	// retryMend is when it is tried again.
	retryMend = 5 * time.Second
)

// mend has an interface that is plugged in deleted together with its instance.
// EC2 attaches without, and cannot be told so in the same call: between the two,
// an instance that is terminated leaves the interface behind, with its tags. It is
// mended at once, and by whoever sees it later if we die in between; that it
// fails is no failure of what is being done.
func (p *Provider) mend(ctx context.Context, f iface) {
	if f.plug == nil || f.plug.leaves || f.plug.status == types.AttachmentStatusDetaching {
		return
	}
	d := p.recent.of(f.nic)
	if d.detached == f.plug.id || d.mended == f.plug.id && time.Now().Before(d.mendNext) {
		return
	}
	defer p.recent.acts(f.nic)()
	_, err := call(ctx, p, apiModifyInterface, p.api.ModifyNetworkInterfaceAttribute, &ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: aws.String(f.id),
		Attachment:         &types.NetworkInterfaceAttachmentChanges{AttachmentId: aws.String(f.plug.id), DeleteOnTermination: aws.Bool(true)},
	})
	p.recent.mended(f.nic, f.plug.id, err == nil)
	if err != nil {
		p.opts.Log.Warn("interface would stay behind its instance; tried again at the next look", "nic", f.nic, "interface", f.id,
			"instance", f.plug.instance, "err", p.failing("attach", f.nic)(err))
	}
}
