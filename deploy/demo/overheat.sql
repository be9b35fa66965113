-- Which machines run hot: into a database, and as an alert to whoever listens.
CREATE RULE overheat
  COMMENT 'Keeps every reading above 70 degrees and raises an alert'
AS
SELECT machine, minute, temperature, vibration, topic(2) AS source
FROM 'plant/+/telemetry'
WHERE temperature > 70
DO sqlite(file = 'overheat.db', table = 'overheat')
DO republish(topic = 'alerts/${topic(2)}', qos = 1);

TEST overheat
  GIVEN TOPIC 'plant/machine-03/telemetry'
  PAYLOAD {"machine": "machine-03", "minute": 97, "temperature": 71.5, "humidity": 44.0, "vibration": 1.2}
  EXPECT {"machine": "machine-03", "minute": 97, "temperature": 71.5, "vibration": 1.2, "source": "machine-03"};

TEST overheat
  GIVEN TOPIC 'plant/machine-03/telemetry' PAYLOAD {"machine": "machine-03", "temperature": 70}
  EXPECT NONE;
