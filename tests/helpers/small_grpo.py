"""A GRPO run of some seconds: settings for `make_recipe`."""

# an untrained model gets no answer right, but some of its completions have more words than others
REWARDS = (
    "rewards={report: [{scorer: finding_f1}, {scorer: length, weight: 0.1}], "
    "grounding: [{scorer: soft_f1}, {scorer: length}], vqa_closed: [{scorer: length}], vqa_open: [{scorer: length}]}"
)
NAMES = {"report/finding_f1", "report/length", "grounding/soft_f1", "grounding/length", "vqa_closed/length",
         "vqa_open/length"}  # fmt: skip
# 6 Examples of one film, all tasks; 2 prompts of 2 rollouts a step: 3 steps an epoch
SETTINGS = "grpo={max_steps: 6, per_device_train_batch_size: 4, num_generations: 2, max_completion_length: 8, " \
    "save_steps: 2, learning_rate: 1e-3, gradient_checkpointing: false}"  # fmt: skip
RUN = ("data.limit=6", REWARDS, SETTINGS)
