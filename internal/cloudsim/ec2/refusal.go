package ec2

import (
	"fmt"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/query"
)

// A reason is why the face refuses a request before the cloud sees it.
type reason string

const (
	noSignature    reason = "no signature"
	badHeader      reason = "header not of Signature Version 4"
	badDate        reason = "date missing or another than the scope's"
	unknownKey     reason = "unknown key or session"
	otherScope     reason = "signed for another service"
	unsignedHeader reason = "x-amz header not signed"
	badSignature   reason = "another signature"
	signedLongAgo  reason = "signed long ago"
	signedAhead    reason = "signed in the future"
	keyExpired     reason = "temporary key expired"
	noAction       reason = "no action"
	unknownAction  reason = "unknown action"
	otherVersion   reason = "another version"
	notReadable    reason = "body not readable"
	missing        reason = "parameter missing"
	unknown        reason = "parameter unknown"
	twice          reason = "parameter given twice"
	badValue       reason = "parameter not of its type"
	taggedOther    reason = "tags for another kind of resource"
	tagTwice       reason = "tag given twice"
	notHere        reason = "action that this cloud does not have"
	restricted     reason = "action for AWS's own roles"
)

// A refusal is an answer that says no, in EC2's words.
type refusal struct {
	status        int
	code, message string // message is a format where there is something to name
	// source is where the answer is known from: [D] the vendor's documents, [S]
	// the SDK's source, [T] another implementation, [I] what users were answered,
	// [K] general knowledge.
	source string
}

const (
	notValidated = "AWS was not able to validate the provided access credentials"
	notMatched   = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)

// refusals is the table of them: one place to put right what turns out otherwise.
func refusals() map[reason]refusal {
	return map[reason]refusal{
		noSignature:    {403, "MissingAuthenticationToken", "Request is missing Authentication Token", "[K] common errors of AWS's query APIs"},
		badHeader:      {400, "IncompleteSignature", "Authorization header requires 'Credential', 'SignedHeaders' (with 'host') and 'Signature' parameters of AWS4-HMAC-SHA256", "[K] common errors"},
		badDate:        {400, "IncompleteSignature", "Authorization header requires an 'X-Amz-Date' header whose day is that of the credential's scope", "[K] common errors"},
		unknownKey:     {401, "AuthFailure", notValidated, "[I] hashicorp/terraform#6566: 401 and these words"},
		otherScope:     {403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'ec2'.", "[K] common errors"},
		unsignedHeader: {403, "SignatureDoesNotMatch", notMatched, "[K] common errors"},
		badSignature:   {403, "SignatureDoesNotMatch", notMatched, "[K] common errors; EC2 may say AuthFailure. The SDK treats both alike [S aws/retry clockSkewCodes]"},
		signedLongAgo:  {400, "RequestExpired", "Request has expired.", "[I] aws/aws-sdk-java#1443: 400 and these words; the window of 5 minutes [K]"},
		signedAhead:    {401, "AuthFailure", notValidated, "[I] aws/aws-sdk-java#519: a wrong clock is answered so"},
		keyExpired:     {400, "RequestExpired", "Request has expired.", "[I] aws/aws-sdk-go-v2#1674, aws/aws-sdk-java#1443"},
		noAction:       {400, "MissingAction", "The request is missing an action or a required parameter", "[K] common errors"},
		unknownAction:  {400, "InvalidAction", "The action %s is not valid for this web service.", "[K] common errors"},
		otherVersion:   {400, "NoSuchVersion", "The requested version (%s) of service AmazonEC2 is not valid.", "[K] common errors"},
		notReadable:    {400, "MalformedQueryString", "The query string contains a syntax error: %s", "[K] common errors"},
		missing:        {400, "MissingParameter", "The request must contain the parameter %s", "[K] common errors"},
		unknown:        {400, "UnknownParameter", "The parameter %s is not recognized", "[K] common errors"},
		twice:          {400, "InvalidQueryParameter", "The parameter %s is given more than once", "[K] common errors"},
		badValue:       {400, "InvalidParameterValue", "Value (%s) for parameter %s is invalid.", "[T] getmoto/moto's words for a bad value"},
		taggedOther:    {400, "InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", "[K]"},
		tagTwice:       {400, "InvalidParameterValue", "Duplicate tag key '%s' specified.", "[K]"},
		notHere:        {400, "UnsupportedOperation", "The action %s is not built here", "none: EC2 has it"},
		restricted:     {403, "UnauthorizedOperation", "You are not authorized to perform this operation.", "[T] aws/amazon-vpc-resource-controller-k8s: not granted to customers"},
	}
}

// refuse looks a refusal up; args are what its message names.
func refuse(why reason, args ...any) *refusal {
	r := refusals()[why]
	if len(args) > 0 {
		r.message = fmt.Sprintf(r.message, args...)
	}
	return &r
}

// unreadable refuses a request of which a parameter cannot be read.
func unreadable(f *query.Fault) *refusal {
	switch f.Why {
	case query.Missing:
		return refuse(missing, f.Name)
	case query.Twice:
		return refuse(twice, f.Name)
	case query.BadValue:
		return refuse(badValue, f.Value, f.Name)
	default:
		return refuse(notReadable, f.Name)
	}
}

// asError is the refusal as the cloud's own errors are.
func (r *refusal) asError() *cloudsim.Error {
	return &cloudsim.Error{Code: r.code, Message: r.message, Status: r.status}
}
