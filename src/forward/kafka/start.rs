//! Where a group begins that has no offsets yet: what comes from now on is remembered at once, so that nothing is passed
//! over when the first record of a partition isn't done with before the end of this process.

use std::time::{Duration, UNIX_EPOCH};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;

use super::{Error, Plan};

/// Time for each question to the cluster.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Give the group an offset in each partition where it has none. Blocks its thread.
pub(super) fn begin(plan: &Plan) -> Result<(), Error> {
    let consumer: BaseConsumer = plan
        .client
        .clone()
        .set("group.id", &plan.group)
        .set("enable.auto.commit", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(&plan.topic), TIMEOUT)?;
    let found = metadata.topics().iter().find(|topic| topic.name() == plan.topic);
    let partitions = found.map(|topic| topic.partitions()).unwrap_or_default();
    if partitions.is_empty() {
        return Err(Error::NoTopic(plan.topic.clone()));
    }
    let mut all = TopicPartitionList::new();
    for partition in partitions {
        all.add_partition(&plan.topic, partition.id());
    }
    let known = consumer.committed_offsets(all, TIMEOUT)?;
    let mut begin = TopicPartitionList::new();
    for one in known.elements().iter().filter(|one| one.offset() == Offset::Invalid) {
        let offset = first(&consumer, plan, one.partition())?;
        begin.add_partition_offset(&plan.topic, one.partition(), Offset::Offset(offset))?;
    }
    if begin.count() > 0 {
        // Where other members are there, they have seen to it.
        let _ = consumer.commit(&begin, CommitMode::Sync);
    }
    Ok(())
}

/// The first offset that a new group reads.
fn first(consumer: &BaseConsumer, plan: &Plan, partition: i32) -> Result<i64, KafkaError> {
    let (_, end) = consumer.fetch_watermarks(&plan.topic, partition, TIMEOUT)?;
    let Some(since) = plan.since else { return Ok(end) };
    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let since = i64::try_from(since).unwrap_or(i64::MAX);
    let mut moment = TopicPartitionList::new();
    moment.add_partition_offset(&plan.topic, partition, Offset::Offset(since))?;
    let found = consumer.offsets_for_times(moment, TIMEOUT)?;
    let offset = found.elements().first().map(|one| one.offset());
    Ok(match offset {
        Some(Offset::Offset(offset)) => offset,
        _ => end,
    })
}
