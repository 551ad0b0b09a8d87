package aws

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/nicferry/nicferry/provider"
)

// call makes a call of EC2 when its turn has come. Every error is a
// *provider.Error without the op and the NIC.
func call[I, O any](ctx context.Context, c *cloud, api string, do func(context.Context, *I, ...func(*ec2.Options)) (*O, error), in *I, opts ...func(*ec2.Options)) (*O, error) {
	if err := c.pace.Take(ctx, api); err != nil {
		return nil, err
	}
	return send(ctx, c, api, do, in, opts...)
}

// send is call for what has waited for its turn.
func send[I, O any](ctx context.Context, c *cloud, api string, do func(context.Context, *I, ...func(*ec2.Options)) (*O, error), in *I, opts ...func(*ec2.Options)) (*O, error) {
	out, err := do(ctx, in, opts...)
	if err == nil {
		c.pace.Passed(api)
		return out, nil
	}
	e := c.classify(ctx, api, err)
	if e.Kind == provider.ErrThrottled {
		e.RetryAfter = c.pace.Throttled(api)
	} else {
		c.pace.Passed(api)
	}
	return nil, e
}

// once has a call made in one attempt: one that would take place as often as it is
// made.
func once(o *ec2.Options) { o.RetryMaxAttempts = 1 }
