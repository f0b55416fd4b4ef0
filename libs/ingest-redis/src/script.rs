//! What Redis does in one step.

/// Adds a message unless its id is known or the partition is full. Answers its place; 0: full.
pub(crate) const ENQUEUE: &str = r"
local known = redis.call('GET', KEYS[3])
if known then return tonumber(known) end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
local place = redis.call('INCR', KEYS[2])
local time = redis.call('TIME')
redis.call('XADD', KEYS[1], place .. '-0', 'body', ARGV[1], 'time', time[1] .. string.format('%06d', time[2]))
redis.call('SET', KEYS[3], place, 'PX', ARGV[3])
return place
";

/// The last place given out, and of the first message there its place and its time. Empty: none.
pub(crate) const STANDING: &str = r"
local last = redis.call('GET', KEYS[2]) or '0'
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not first then return { last, '', '' } end
return { last, first[1], first[2][4] }
";

/// Writes the table if its version is this one, and says whether it was.
pub(crate) const SWAP: &str = r"
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1] + 1, 'table', ARGV[2])
return 1
";
